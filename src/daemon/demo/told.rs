//! How the demo's systems tell something by themselves: a POST at the daemon's door for webhooks.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// With these headers besides (each with its end of line); answers the status line.
///
/// # Errors
/// Nobody is there, or it takes more than five seconds.
pub fn post(hooks: SocketAddr, system: &str, headers: &str, body: &str) -> io::Result<String> {
    let request = format!(
        "POST /v1/hooks/{system} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         {headers}\r\n{body}",
        body.len()
    );
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&hooks, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(request.as_bytes())?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    Ok(told.lines().next().unwrap_or_default().to_owned())
}
