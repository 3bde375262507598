//! Sign-in at the console with a real identity provider (Glewlwyd 2.7 of Debian 12, as OpenID Connect). Needs `oauth2.env` of `tests/servers/oauth2/setup.sh`;
//! it fails, and does not skip, where that is absent.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    console::Browser,
    daemon::Desk,
    real_oauth2::{alone, env},
};

/// The daemon with the provider in its settings.
async fn desk() -> Desk {
    desk_at(&format!("{}/api/sso", env("OAUTH2_URL"))).await
}

async fn desk_at(issuer: &str) -> Desk {
    let mut desk = Desk::set(0.3).await;
    let file = desk.stage.settings().join("linecard.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(desk.folder.join("secrets/oidc"), env("OAUTH2_SECRET")).unwrap();
    let console = format!(
        "console:\n  public_url: http://127.0.0.1:18766\n  oidc:\n    issuer: {issuer}\n    client_id: console\n    client_secret: {{file: {}/secrets/oidc}}\n    client_auth: body\n    scopes: [openid]\n    name_claim: email\n    roles_claim: email\n    roles: {{admin: [boss@example.com]}}\n",
        desk.folder.display(),
    );
    std::fs::write(&file, text.replacen("console:\n", &console, 1)).unwrap();
    desk.start(None).await;
    desk
}

/// What somebody's browser does: begins at the console, signs in at the provider, agrees, and is sent back. Where to, and the console's cookie.
async fn at_the_provider(desk: &Desk, name: &str, password: &str) -> (String, String) {
    let server = env("OAUTH2_URL");
    let begun = Browser::new(desk).get("/admin/oidc").await;
    assert_eq!(begun.status(), 303, "{:?}", begun.text().await);
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let address = begun.headers()["location"].to_str().unwrap().to_owned();
    assert!(
        address.starts_with(&format!("{server}/api/sso/auth?")) && address.contains("code_challenge_method=S256"),
        "{address}"
    );

    let browser = linecard::live::http_client(None, Duration::from_secs(5)).unwrap();
    let account = json!({"username": name, "password": password});
    let answer = browser.post(format!("{server}/api/auth/")).json(&account).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let theirs = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let grant = browser.put(format!("{server}/api/auth/grant/console")).header("Cookie", &theirs);
    assert_eq!(grant.json(&json!({"scope": "openid"})).send().await.unwrap().status(), 200);
    let answer = browser.get(format!("{address}&g_continue")).header("Cookie", &theirs).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap().to_owned();
    (back.replacen("http://127.0.0.1:18766", "", 1), cookie)
}

/// Sent to the door without a session, and why: as the page finds it.
fn turned_away(answer: &reqwest::Response) -> Value {
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/admin"));
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    assert!(!cookies.iter().any(|one| one.starts_with("linecard=")), "{cookies:?}");
    let told = cookies.iter().find_map(|one| one.strip_prefix("linecard-refused=")?.split_once(';')).unwrap().0;
    serde_json::from_slice(&linecard::words::unpercent(told)).unwrap()
}

/// Nobody takes another's place by beginning, and a daemon that starts anew takes nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_on_the_way_is_let_in_after_a_thousand_others_and_a_restart() {
    let _alone = alone().await;
    let mut desk = desk().await;
    let (back, cookie) = at_the_provider(&desk, "boss", "boss-pass-1").await;
    for _ in 0..1001 {
        assert_eq!(Browser::new(&desk).get("/admin/oidc").await.status(), 303);
    }
    desk.signal(rustix::process::Signal::TERM);
    assert!(desk.child.take().unwrap().wait().unwrap().success());
    desk.start(None).await;
    let answer = Browser::new(&desk).asked(reqwest::Method::GET, &back).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/admin");
    let mut browser = Browser::new(&desk);
    browser.keep(&answer);
    assert_eq!(browser.json("/v1/session").await["who"], "boss@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_role_at_the_provider_is_signed_in_once_and_in_his_own_browser() {
    let _alone = alone().await;
    let desk = desk().await;
    assert_eq!(Browser::new(&desk).json("/v1/session").await["ways"], json!(["password", "oidc"]));
    let (back, cookie) = at_the_provider(&desk, "boss", "boss-pass-1").await;
    assert!(back.starts_with("/admin/oidc/back?"), "{back}");

    // A link that somebody else began signs nobody in.
    assert_eq!(turned_away(&Browser::new(&desk).get(&back).await)["code"], "oidc-not-begun");
    let mut browser = Browser::new(&desk);
    let answer = browser.asked(reqwest::Method::GET, &back).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.status(), 303, "{:?}", answer.text().await);
    assert_eq!(answer.headers()["location"], "/admin");
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|one| one.starts_with("linecard-oidc=; ") && one.contains("Max-Age=0")), "{cookies:?}");
    browser.keep(&answer);
    let session = browser.json("/v1/session").await;
    assert_eq!((session["who"].clone(), session["role"].clone()), (json!("boss@example.com"), json!("admin")));
    assert_eq!(browser.json("/v1/audit?what=console.signed-in").await[0]["reason"], "oidc");
    // A browser that kept what it should have thrown away: the code is used up.
    let again = browser.asked(reqwest::Method::GET, &back).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(turned_away(&again)["code"], "oidc-not-taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_none_is_told_so() {
    let _alone = alone().await;
    let desk = desk().await;
    let (back, cookie) = at_the_provider(&desk, "guest", "guest-pass-1").await;
    let answer = Browser::new(&desk).asked(reqwest::Method::GET, &back).header("Cookie", &cookie).send().await.unwrap();
    let told = turned_away(&answer);
    assert_eq!(told, json!({"code": "oidc-no-role", "values": {"name": "guest@example.com", "claim": "email"}}),);
    assert!(
        !std::fs::read_to_string(desk.stage.log()).unwrap().contains("guest@example.com"),
        "people's names do not stand in the log"
    );
    let tampered = back.replacen("code=", "code=x", 1);
    let (_, other) = at_the_provider(&desk, "boss", "boss-pass-1").await;
    let answer =
        Browser::new(&desk).asked(reqwest::Method::GET, &tampered).header("Cookie", &other).send().await.unwrap();
    assert_eq!(turned_away(&answer)["code"], "oidc-not-begun", "another sign-in's cookie");
    let _: Value = Browser::new(&desk).json("/v1/session").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_provider_is_away_the_door_says_so_and_the_rest_goes_on() {
    let desk = desk_at("http://127.0.0.1:1/nobody").await;
    let told = turned_away(&Browser::new(&desk).get("/admin/oidc").await);
    assert_eq!(told["code"], "oidc-away");
    assert!(told["values"]["why"].as_str().unwrap().starts_with("the provider's document could not be had"), "{told}");
    assert_eq!(Browser::new(&desk).json("/v1/session").await["ways"], json!(["password", "oidc"]));
}
