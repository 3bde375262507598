//! The demo's mail server: it takes every mail on loopback, in the clear, and sends none on. What it took can be read.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// More than any mail of ours.
const MOST: u64 = 1 << 20;

/// One mail as it came, with those it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub to: Vec<String>,
    /// Head and body.
    pub text: String,
}

/// It lives as long as this value.
pub struct Mails {
    address: SocketAddr,
    inbox: Arc<Mutex<Vec<Letter>>>,
    task: JoinHandle<()>,
}

impl Mails {
    /// Listens at `at` (port 0: any free port).
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start(at: SocketAddr) -> io::Result<Mails> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let inbox = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    // A client that goes away in the middle has sent nothing.
                    tokio::spawn(guest(stream, Arc::clone(&inbox)));
                }
            }
        });
        Ok(Mails { address, inbox, task })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that was taken, in order.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Mails {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn guest(stream: TcpStream, inbox: Arc<Mutex<Vec<Letter>>>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MOST)).lines();
    write.write_all(b"220 demo ESMTP\r\n").await?;
    let mut to = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let says = match word.as_str() {
            "EHLO" => "250-demo\r\n250 8BITMIME\r\n".to_owned(),
            "HELO" | "NOOP" => "250 fine\r\n".to_owned(),
            "MAIL" | "RSET" => {
                to.clear();
                "250 2.0.0 fine\r\n".to_owned()
            }
            "RCPT" => {
                let address = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
                to.extend(address.map(|(address, _)| address.to_owned()));
                "250 2.1.5 fine\r\n".to_owned()
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                loop {
                    let Some(line) = lines.next_line().await? else { return Ok(()) };
                    if line == "." {
                        break;
                    }
                    // A line that begins with a dot got another one for the way.
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push('\n');
                }
                let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
                inbox.push(Letter { to: std::mem::take(&mut to), text });
                format!("250 2.0.0 kept as {}\r\n", inbox.len())
            }
            "QUIT" => {
                write.write_all(b"221 2.0.0 bye\r\n").await?;
                return Ok(());
            }
            _ => "502 5.5.1 not known here\r\n".to_owned(),
        };
        write.write_all(says.as_bytes()).await?;
    }
    Ok(())
}
