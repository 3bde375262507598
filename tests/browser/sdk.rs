//! The SDK in a page of another company's, against the small daemon: what it hears and says, how it comes back, and one socket for several pages.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Another company's pages, which bring the SDK along as their own file, and the examples, made for `daemon`.
async fn company(daemon: &Daemon) -> String {
    let desk = daemon.address.trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let example = |text: &str| text.replace("http://127.0.0.1:7780", &desk);
            let plain = example(include_str!("../../web/sdk/examples/plain.html"));
            let frame = example(include_str!("../../web/sdk/examples/frame.html"));
            tokio::spawn(async move {
                let mut start = [0; 4096];
                let n = stream.read(&mut start).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&start[..n]).into_owned();
                let (kind, body) = match text.split(' ').nth(1).unwrap_or("/") {
                    "/linecard.js" => ("text/javascript", include_str!("../../web/sdk/linecard.js")),
                    "/examples/plain.html" => ("text/html", &*plain),
                    "/examples/frame.html" => ("text/html", &*frame),
                    _ => ("text/html", PAGE),
                };
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type:";
                let answer = format!("{head} {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

const PAGE: &str = r#"<!doctype html><html lang=en><link rel=icon href="data:,"><title>CRM</title>
<p data-linecard-ref="crm/ticket/7/1"><a id=tel href="tel:010%2061234567;ext=2">010 6123 4567</a></p><a id=other href="mailto:x@example.com">mail</a>
<script type=module>
import * as sdk from "/linecard.js";
window.sdk = sdk; window.heard = []; window.tokens = [];
window.begin = (url, more = {}) => {
  const token = (why) => { tokens.push(why.refused); return window.token ?? "a.b.c"; };
  const l = window.l = new sdk.Linecard({ url, token, ...more });
  for (const name of ["pop", "updated", "changed", "gone"]) l.on(name, (call, why) => heard.push([name, call.id, call.name ?? null, call.phase, why ?? null].filter((x) => x !== null).join(" ")));
  for (const name of ["up", "down", "refused", "front"]) l.on(name, (...what) => heard.push([name, ...what].join(" ")));
  return l.connect().then(() => { heard.push("connected"); }, (e) => { heard.push("not connected: " + e.code); });
};
window.hold = (url) => {
  const p = window.p = document.createElement("linecard-panel");
  p.setAttribute("url", url);
  p.token = (why) => { tokens.push(why.refused); return "a.b.c"; };
  p.on("pop", (call) => heard.push(`pop ${call.name ?? call.number}`));
  p.addEventListener("gone", (e) => heard.push(`gone ${e.detail.call.id} ${e.detail.reason}`));
  p.on("up", () => heard.push("up"));
  document.body.append(p);
  p.style.cssText = "display:block;width:320px;height:640px";
};
window.ask = (act) => { act.then((d) => heard.push("done"), (e) => heard.push("failed " + (e instanceof sdk.LinecardError) + " " + e.code)); };
</script>"#;

impl Browser {
    async fn open(&mut self, url: &str) {
        self.send("Page.navigate", json!({"url": url})).await;
        self.until("document.readyState==='complete' && window.sdk").await;
    }
    /// Drives another tab; one that nobody sees draws nothing, and `until` looks at what is drawn.
    async fn turn_to(&mut self, session: &str) {
        session.clone_into(&mut self.session);
        self.send("Page.bringToFront", json!({})).await;
    }
    /// What the page heard since it was asked last.
    async fn heard(&mut self) -> Value {
        self.eval("heard.splice(0)").await
    }
}

fn snapshot(calls: Value) -> Value {
    json!({"agent": agent("ready"), "links": links(true), "calls": calls})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_a_page_without_the_desk() {
    let mut daemon = Daemon::start().await;
    let company = company(&daemon).await;
    let mut browser = Browser::start().await;
    browser.open(&company).await;
    browser.eval(&format!("void begin('{}')", daemon.address)).await;
    let resume = daemon.welcome().await;
    assert_eq!((&resume["epoch"], &resume["active"]), (&Value::Null, &json!(true)));

    // What was shown before is there and is not announced; what was not is.
    let state = changed(Some("talking"), "talking", json!({"actions": ["call.hold", "call.hangup"]}));
    let mut state_only = state.clone();
    for part in ["type", "seq", "at"] {
        state_only.as_object_mut().unwrap().remove(part);
    }
    daemon.say(
        "snapshot",
        snapshot(json!([{"pop": pop(filled()), "state": state_only, "shown": true, "notes": "as said"}])),
    );
    browser.until("heard.includes('connected')").await;
    assert_eq!(browser.heard().await, json!(["up", "connected"]));
    let seen = browser.eval("(([c]) => [c.id, c.name, c.phase, c.notes, c.can('hold'), c.can('retrieve'), l.me.id, l.agent.state])(l.calls)").await;
    let name = filled()["candidates"][0]["name"].clone();
    assert_eq!(seen, json!([CALL, name, "talking", "as said", true, false, "1001", "ready"]));

    // Done is done, and a refusal is an error with its code.
    browser.eval("ask(l.calls[0].hold())").await;
    let hold = daemon.hear("call.hold").await;
    assert_eq!(hold["call"], CALL);
    daemon.done(&hold);
    browser.eval("ask(l.dial({number: '10010'}))").await;
    let dial = daemon.hear("dial").await;
    daemon.say("failed", json!({"id": dial["id"], "code": "busy", "message": "the line is busy"}));
    browser.until("heard.length===2").await;
    assert_eq!(browser.heard().await, json!(["done", "failed true busy"]));

    // The line is lost with a request under way: it comes back to its place, and asks again by the same id.
    daemon.say("call.changed", changed(Some("holding"), "held", json!({"actions": ["call.retrieve"]})));
    browser.until("heard.length===1").await;
    let object = browser.eval("(window.same = l.calls[0]).phase").await;
    assert_eq!(object, "holding");
    browser.eval("ask(l.calls[0].retrieve())").await;
    let first = daemon.hear("call.retrieve").await;
    daemon.say.try_send(Value::Null).unwrap();
    let resume = daemon.welcome().await;
    assert_eq!((&resume["epoch"], &resume["seq"], &resume["active"]), (&json!(7), &json!(daemon.seq), &json!(true)));
    daemon.say("resumed", json!({"agent": agent("ready"), "links": links(true)}));
    let again = daemon.hear("call.retrieve").await;
    assert_eq!(again["id"], first["id"]);
    daemon.done(&again);
    browser.until("heard.includes('done')").await;
    assert_eq!(
        browser.heard().await,
        json!([format!("changed {CALL} {} holding", name.as_str().unwrap()), "down", "up", "done"])
    );

    // Its end: the object that was kept says what was known last.
    daemon.say("call.changed", changed(None, "ended", json!({})));
    browser.until("heard.length===1").await;
    assert_eq!(browser.heard().await, json!([format!("gone {CALL} {} holding ended", name.as_str().unwrap())]));
    assert_eq!(browser.eval("[l.calls.length, same.id]").await, json!([0, CALL]));
    // The same call again rings, is filled, is taken back: one pop.
    daemon.say("pop", pop(pending()));
    daemon.say("pop.updated", pop(filled()));
    daemon.say("pop.withdrawn", json!({"call": CALL, "pop": pop(pending())["pop"], "reason": "answered-elsewhere"}));
    browser.until("heard.length===3").await;
    let told = browser.heard().await;
    let told: Vec<&str> = told.as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert!(
        told[0].starts_with("pop ") && told[1].starts_with("updated ") && told[2].ends_with("answered-elsewhere"),
        "{told:?}"
    );

    // A link with a number, and another one.
    browser.eval("sdk.bindTelLinks(l)").await;
    browser.click("tel").await;
    let dial = daemon.hear("dial").await;
    assert_eq!(
        (&dial["number"], &dial["ref"]),
        (&json!("010 61234567"), &json!({"system": "crm", "type": "ticket", "id": "7/1"}))
    );
    daemon.done(&dial);
    assert_eq!(browser.eval("document.getElementById('other').dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}))").await, true);

    // Who closes is not answered any more, and told so.
    browser.eval("ask(l.ready())").await;
    daemon.hear("agent.state").await;
    browser.eval("l.close()").await;
    browser.until("heard.includes('failed true closed')").await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// A JWT that says when it ends, and nothing else.
fn ending(s: i64) -> String {
    use base64::Engine as _;
    let now =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let claims = json!({"exp": now + s}).to_string();
    format!("a.{}.c", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_renewed_before_it_ends_and_asked_for_once_more_when_it_is_refused() {
    let mut daemon = Daemon::start().await;
    let company = company(&daemon).await;
    let mut browser = Browser::start().await;
    browser.open(&company).await;
    let attached = async |daemon: &mut Daemon| {
        let token = daemon.hear("authenticate").await["token"].clone();
        daemon.say("welcome", json!({"epoch": 7, "features": [], "agent": {"id": "1001", "tenant": "default", "roles": []}, "ping_ms": 15000, "reasons": [], "queues": [], "open": "never"}));
        daemon.hear("resume").await;
        daemon.say("snapshot", snapshot(json!([])));
        token
    };
    let (first, second) = (ending(3), ending(3600));
    browser.eval(&format!("window.token='{first}'; void begin('{}'); 1", daemon.address)).await;
    assert_eq!(attached(&mut daemon).await, first);
    browser.eval(&format!("window.token='{second}'")).await;
    let renewed = daemon.hear("authenticate").await;
    assert_eq!(renewed["token"], second);
    daemon.done(&renewed);

    // It ended all the same, say while the machine slept: one more is asked for, and told why.
    browser.eval("window.token='x.y.z'").await;
    daemon.say.try_send(json!(4401)).unwrap();
    assert_eq!(attached(&mut daemon).await, "x.y.z");
    assert_eq!(browser.eval("tokens").await, json!([false, false, true]));
    // Refused twice in a row is refused, and nobody knocks on.
    daemon.say.try_send(json!(4401)).unwrap();
    assert_eq!(daemon.hear("authenticate").await["token"], "x.y.z");
    daemon.say.try_send(json!(4401)).unwrap();
    browser.until("heard.includes('refused unauthenticated')").await;
    assert_eq!(browser.eval("l.up").await, false);
}

/// A JWT that names somebody.
fn of_agent(id: &str) -> String {
    use base64::Engine as _;
    let claims = json!({"sub": id}).to_string();
    format!("a.{}.c", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims))
}

/// Attaches the agent with that token; whoever else knocks meanwhile is hung up.
async fn attach(daemon: &mut Daemon, id: &str, calls: Value) -> Value {
    let token = of_agent(id);
    while daemon.hear("authenticate").await["token"] != token {
        daemon.say.try_send(Value::Null).unwrap();
    }
    daemon.say("welcome", json!({"epoch": 7, "features": [], "agent": {"id": id, "tenant": "default", "roles": []}, "ping_ms": 15000, "reasons": [], "queues": [], "open": "never"}));
    let place = daemon.hear("resume").await;
    daemon.say("snapshot", snapshot(calls));
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_in_the_same_browser_finds_nothing_of_the_one_before() {
    let mut daemon = Daemon::start().await;
    let company = company(&daemon).await;
    let mut browser = Browser::start().await;
    let begin = |id: &str, worker: bool| {
        format!("window.token='{}'; void begin('{}', {{worker: {worker}}}); 1", of_agent(id), daemon.address)
    };
    let (begins, other) = (begin("1001", true), begin("1002", true));
    let (_, first) = browser.tab().await;
    browser.open(&company).await;
    browser.eval(&begins).await;
    browser.eval("void l.connect().then(() => { window.knew = l.calls.length; }); 1").await;
    let state = changed(Some("talking"), "talking", json!({}));
    attach(&mut daemon, "1001", json!([{"pop": pop(filled()), "state": state, "shown": true}])).await;
    browser.until("window.knew === 1").await;

    // In the next tab somebody else: with a socket of their own, and the first keeps his.
    let (_, second) = browser.tab().await;
    browser.open(&company).await;
    browser.eval(&other).await;
    browser.until("tokens.length > 0").await;
    daemon.say.try_send(Value::Null).unwrap();
    attach(&mut daemon, "1002", json!([])).await;
    browser.until("heard.includes('connected')").await;
    assert_eq!(browser.eval("[l.me.id, l.calls.length]").await, json!(["1002", 0]));
    browser.session.clone_from(&first);
    assert_eq!(browser.eval("[l.me.id, l.calls.length]").await, json!(["1001", 1]));
    browser.session.clone_from(&second);

    // A page that stays, whose token becomes another's: nothing goes on from where the one before was.
    browser.eval("l.close(); heard.length = 0; 1").await;
    daemon.say.try_send(Value::Null).unwrap();
    let begins = format!("window.token='{}'; void begin('{}'); 1", of_agent("1003"), daemon.address);
    browser.eval(&begins).await;
    attach(&mut daemon, "1003", json!([])).await;
    browser.until("heard.includes('connected')").await;
    daemon.say("pop", pop(filled()));
    browser.until("l.calls.length === 1").await;
    browser.eval(&format!("window.token='{}'; ask(l.calls[0].note('of the one before')); 1", of_agent("1004"))).await;
    daemon.hear("notes.set").await;
    daemon.say.try_send(Value::Null).unwrap();
    let place = attach(&mut daemon, "1004", json!([])).await;
    assert_eq!((&place["epoch"], &place["seq"]), (&Value::Null, &Value::Null));
    browser.until("l.me.id === '1004' && l.calls.length === 0 && heard.some((h) => h.endsWith('elsewhere'))").await;
    // What the one before asked is not said in another's name.
    browser.until("heard.includes('failed true closed')").await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_pages_of_an_origin_have_one_socket() {
    let mut daemon = Daemon::start().await;
    let company = company(&daemon).await;
    let mut browser = Browser::start().await;
    let begin = format!("void begin('{}', {{worker: true}})", daemon.address);
    let (first_tab, first) = browser.tab().await;
    browser.open(&company).await;
    browser.eval(&begin).await;
    daemon.welcome().await;
    daemon.say("snapshot", snapshot(json!([])));
    browser.until("heard.includes('connected')").await;
    daemon.say("pop", pop(filled()));
    browser.until("heard.some((h) => h.startsWith('pop '))").await;

    // The second page finds everything, by the same socket, and announces nothing that was shown.
    let (_, second) = browser.tab().await;
    browser.open(&company).await;
    browser.eval(&begin).await;
    browser.until("heard.includes('connected')").await;
    assert_eq!(
        browser.eval("[l.calls.length, l.me.name, heard.some((h) => h.startsWith('pop '))]").await,
        json!([1, "Agent Li", false])
    );
    browser.eval("ask(l.calls[0].answer())").await;
    let answer = daemon.hear("call.answer").await;
    daemon.done(&answer);
    browser.until("heard.includes('done')").await;
    // Both hear what comes; one of them is the front page.
    daemon.say("call.changed", changed(Some("talking"), "talking", json!({"actions": ["call.hangup"]})));
    for session in [&first, &second] {
        browser.turn_to(session).await;
        browser.until("heard.some((h) => h.startsWith('changed ') && h.includes('talking'))").await;
        browser.until("l.front").await;
    }
    browser.session.clone_from(&first);
    let told = "new Promise((d) => l.front ? l.on('front', () => d(l.front)) : d(l.front))";
    assert_eq!(browser.eval(told).await, false, "the page that was looked at last is the front one");
    browser.session.clone_from(&second);

    // The first goes; the second has everything as before, and asks as before.
    browser.session.clear();
    browser.send("Target.closeTarget", json!({"targetId": first_tab})).await;
    browser.turn_to(&second).await;
    browser.until("l.front").await;
    browser.eval("ask(l.calls[0].hangup())").await;
    let hangup = daemon.hear("call.hangup").await;
    daemon.done(&hangup);
    browser.until("heard.filter((h) => h === 'done').length === 2").await;
    assert_eq!(browser.eval("heard.filter((h) => h === 'up' || h === 'down')").await, json!(["up"]));
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desk_in_a_page_of_another_company_s() {
    let mut daemon = Daemon::start().await;
    let company = company(&daemon).await;
    let mut browser = Browser::start().await;
    browser.open(&company).await;
    browser.eval(&format!("hold('{}')", daemon.address)).await;
    daemon.welcome().await;
    daemon.say("snapshot", snapshot(json!([])));
    browser.until("heard.includes('up')").await;
    assert_eq!(browser.eval("tokens").await, json!([false]));
    let mut ringing = pop(filled());
    ringing["actions"] = json!(["notes.set", "call.answer"]);
    daemon.say("pop", ringing);
    browser.until("heard.length===2").await;
    let name = filled()["candidates"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(browser.heard().await, json!(["up", format!("pop {name}")]));

    // F8 in the company's page answers; a link there dials; both go through the desk's socket.
    browser.eval("addEventListener('keydown', (e) => p.key(e)); dispatchEvent(new KeyboardEvent('keydown', {key: 'F8', code: 'F8'}))").await;
    let answer = daemon.hear("call.answer").await;
    daemon.done(&answer);
    browser.eval("sdk.bindTelLinks(p, {told: (e) => heard.push(String(e))})").await;
    browser.click("tel").await;
    let dial = daemon.hear("dial").await;
    daemon.done(&dial);
    browser.until("heard.includes('undefined')").await;
    if let Some(folder) = std::env::var_os("LINECARD_SHOTS") {
        use base64::Engine as _;
        let picture = browser.send("Page.captureScreenshot", json!({"format": "png"})).await;
        let bytes = base64::prelude::BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(std::path::PathBuf::from(folder).join("panel.png"), bytes).unwrap();
    }
    daemon.say("call.changed", changed(None, "ended", json!({})));
    browser.until("heard.some((h) => h.startsWith('gone'))").await;

    // A stranger in the same page that says it were the desk gets no way to the token, and the panel goes on.
    browser.eval("(() => { const f = document.createElement('iframe'); f.srcdoc = '<script>parent.postMessage({linecard: `here`}, `*`); onmessage = () => parent.heard.push(`taken in`)<\\/script>'; document.body.append(f); })()").await;
    browser.eval("ask(p.request('agent.state', {state: 'ready'}))").await;
    let state = daemon.hear("agent.state").await;
    daemon.done(&state);
    browser.until("heard.includes('done')").await;
    assert_eq!(browser.eval("[tokens.length, heard.includes('taken in')]").await, json!([1, false]));
    // Taken out of the page, it is gone for the daemon too.
    browser.eval("ask(p.request('agent.state', {state: 'ready'})); p.remove()").await;
    browser.until("heard.includes('failed true closed')").await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_do_what_they_say() {
    let mut daemon = Daemon::start().await;
    let company = company(&daemon).await;
    let mut browser = Browser::start().await;
    browser.open(&company).await;
    browser.eval("sessionStorage.token='a.b.c'").await;
    let mut ringing = pop(filled());
    ringing["actions"] = json!(["notes.set", "call.answer"]);

    browser.send("Page.navigate", json!({"url": format!("{company}/examples/plain.html")})).await;
    daemon.welcome().await;
    daemon.say("snapshot", snapshot(json!([])));
    daemon.say("pop", ringing.clone());
    browser.until("document.querySelector('#call button')?.textContent==='answer'").await;
    assert_eq!(browser.eval("document.querySelector('#call h2').textContent").await, filled()["candidates"][0]["name"]);
    browser.eval("document.querySelector('#call button').click()").await;
    let answer = daemon.hear("call.answer").await;
    daemon.done(&answer);
    browser.eval("document.querySelector('li a').click()").await;
    let dial = daemon.hear("dial").await;
    assert_eq!((&dial["number"], &dial["ref"]["id"]), (&json!("13800138000"), &json!("C-1001")));
    daemon.done(&dial);

    // The page that was left lets go of the socket, though the browser keeps it for the way back; and there it is attached again.
    browser.send("Page.navigate", json!({"url": format!("{company}/examples/frame.html")})).await;
    daemon.welcome().await;
    daemon.say("snapshot", snapshot(json!([])));
    daemon.say("pop", ringing);
    browser.until("document.getElementById('told').textContent.includes('13800138000')").await;
    browser.eval("history.back()").await;
    daemon.welcome().await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}
