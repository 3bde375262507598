//! `connector sign-in`: an administrator, a browser, and a refresh token at the end.

use std::{
    io::BufRead as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Exit, fail, wrong};
use crate::{
    connectors::{
        live::signed_in,
        sign_in::{Asked, redirect},
    },
    daemon::{cli::Folder, load},
    private::Secret,
    words::SystemId,
};

/// A person looks for a password and a second factor.
const PATIENCE: Duration = Duration::from_secs(600);
/// A browser's request; a code has been seen to be 2 KiB.
const HEAD_CAP: usize = 16 * 1024;

pub fn sign_in(connector: &str, folder: &Folder) -> Exit {
    let loaded = match load::load(&folder.config, &[]) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong(&problems),
    };
    let set = &loaded.live.connectors;
    let Some(system) = set.file(&SystemId::from(connector)) else {
        let known: Vec<&str> = set.iter().map(|s| s.id.as_str()).collect();
        return fail(&format!("there is no connector \"{connector}\"; connectors are: {}", known.join(", ")));
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let done: Result<(), String> = runtime.block_on(async {
        let back = redirect(system)?;
        let (back, listener) = match at_loopback(back) {
            None => (back.to_owned(), None),
            Some((address, write)) => match TcpListener::bind(address).await {
                Ok(listener) => {
                    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
                    (write(port), Some(listener))
                }
                Err(error) => return Err(format!("cannot listen at {address} for the answer: {error}")),
            },
        };
        let asked = Asked::new(system, back, rand::random(), rand::random())?;
        println!("Open this address in a browser and sign in:\n\n{}\n", asked.address());
        println!("If the browser is on another machine it ends at a page that cannot be shown: paste that page's address here.");
        let told = tokio::time::timeout(PATIENCE, answer(&asked, listener)).await;
        let told = told.map_err(|_| "nobody signed in within ten minutes".to_owned())??;
        signed_in(&asked, &told, loaded.settings.tokens_folder()).await
    });
    match done {
        Ok(()) => {
            println!("{connector}: signed in; the daemon uses it from its next question on");
            Exit::Good
        }
        Err(why) => fail(&why),
    }
}

/// Where to listen for that redirect, and how it is written once the port is known. RFC 8252 section 7.3: a loopback redirect may have any port.
fn at_loopback(redirect: &str) -> Option<(SocketAddr, impl FnOnce(u16) -> String + use<>)> {
    let rest = redirect.strip_prefix("http://")?;
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, format!("/{p}")));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(0)),
        _ => (authority, 0),
    };
    let address = match host {
        "127.0.0.1" | "localhost" => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        "[::1]" => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        _ => return None,
    };
    let host = host.to_owned();
    Some((address, move |port| format!("http://{host}:{port}{path}")))
}

type Told = Vec<(&'static str, Secret)>;

/// The first good answer, by the browser or by the person.
async fn answer(asked: &Asked<'_>, listener: Option<TcpListener>) -> Result<Told, String> {
    let (send, mut pasted) = tokio::sync::oneshot::channel();
    // A thread of its own: it waits for a line that may never come, and the process ends all the same.
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        if let Some(line) = lines.map_while(Result::ok).find(|line| !line.trim().is_empty()) {
            let _ = send.send(line);
        }
    });
    let mut paste_closed = false;
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            line = &mut pasted, if !paste_closed => match line {
                Ok(line) => return asked.answered(&line),
                Err(_) if listener.is_none() => return Err("there is nobody to paste the address".to_owned()),
                Err(_) => paste_closed = true,
            },
            connection = accepted => {
                let Ok((mut socket, _)) = connection else { continue };
                let Some(target) = tokio::time::timeout(Duration::from_secs(5), target(&mut socket)).await.ok().flatten() else { continue };
                let (status, words, told) = match asked.answered(&target) {
                    Ok(told) => ("200 OK", "Signed in. You may close this page.", Some(Ok(told))),
                    // A browser asks for its icon, and any page may ask this port for anything: only who knows the state is heard.
                    Err(why) if why.starts_with("the system refused") => ("400 Bad Request", "The system refused. See the terminal.", Some(Err(why))),
                    Err(_) => ("404 Not Found", "This is no answer to the sign-in.", None),
                };
                let page = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}", words.len());
                let _ = socket.write_all(page.as_bytes()).await;
                let _ = socket.shutdown().await;
                if let Some(told) = told {
                    return told;
                }
            }
        }
    }
}

/// The target of a GET.
async fn target(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut part = [0_u8; 2048];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = socket.read(&mut part).await.ok().filter(|n| *n > 0)?;
        head.extend_from_slice(part.get(..n)?);
        if head.len() > HEAD_CAP {
            return None;
        }
    }
    let text = String::from_utf8(head).ok()?;
    let target = text.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    Some(target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::at_loopback;

    #[test]
    fn a_redirect_of_the_loopback_is_listened_at() {
        let at = |redirect: &str| at_loopback(redirect).map(|(address, write)| (address.to_string(), write(4242)));
        let found = |address: &str, back: &str| Some((address.to_owned(), back.to_owned()));
        assert_eq!(at("http://127.0.0.1/"), found("127.0.0.1:0", "http://127.0.0.1:4242/"));
        assert_eq!(at("http://localhost:4242/cb?x=1"), found("127.0.0.1:4242", "http://localhost:4242/cb?x=1"));
        assert_eq!(at("http://[::1]/cb"), found("[::1]:0", "http://[::1]:4242/cb"));
        for elsewhere in
            ["https://127.0.0.1/", "http://crm.example/cb", "http://127.0.0.1.evil.example/", "http://x@127.0.0.1"]
        {
            assert_eq!(at(elsewhere), None, "{elsewhere}");
        }
    }
}
