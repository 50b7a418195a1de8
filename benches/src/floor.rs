//! The floor beneath every remote call: the same bytes over a bare connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LENGTH_BYTES: usize = 4;

/// A ping-pong over loopback TCP: a length and so many bytes there, a length and so many bytes back, nothing decoded.
#[derive(Debug)]
pub struct Floor {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Floor {
    /// Connects with a task of its own that answers each request of `request_bytes` with `reply_bytes`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(request_bytes: usize, reply_bytes: usize) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        stream.set_nodelay(true)?;
        let (far, _) = listener.accept().await?;
        far.set_nodelay(true)?;
        tokio::spawn(answer(far, request_bytes, reply_bytes));
        Ok(Self { stream, request: frame(request_bytes), reply: frame(reply_bytes) })
    }

    /// Asks `iters` times, one after the other.
    ///
    /// # Errors
    /// What the system says.
    pub async fn run(mut self, iters: u64) -> io::Result<Self> {
        for _ in 0..iters {
            self.stream.write_all(&self.request).await?;
            self.stream.read_exact(&mut self.reply).await?;
        }
        Ok(self)
    }
}

/// Answers until the other end closes, which shows as the end of the stream.
async fn answer(mut stream: TcpStream, request_bytes: usize, reply_bytes: usize) -> io::Result<()> {
    let (mut request, reply) = (frame(request_bytes), frame(reply_bytes));
    loop {
        stream.read_exact(&mut request).await?;
        stream.write_all(&reply).await?;
    }
}

fn frame(bytes: usize) -> Vec<u8> {
    vec![90; LENGTH_BYTES + bytes]
}
