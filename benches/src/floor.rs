//! The floor beneath every remote call: the same bytes over a bare connection.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Two lengths, the request's and the reply's, both little-endian `u32`.
const HEADER_BYTES: usize = 8;
/// Largest request or reply, in bytes: twice what the largest of the five functions takes.
const BODY_BYTES_MAX: usize = 128 << 10;
/// What bodies are made of.
const FILL: u8 = 90;
static BODY: [u8; BODY_BYTES_MAX] = [FILL; BODY_BYTES_MAX];

/// A ping-pong over loopback TCP: so many bytes there, so many back, nothing decoded.
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
        let address = listener.local_addr()?;
        let near = Self::connect_to(address, request_bytes, reply_bytes).await?;
        let (far, _) = listener.accept().await?;
        tokio::spawn(answer(far));
        Ok(near)
    }

    /// Connects with a process that [serves](Self::serve) at that address.
    ///
    /// # Errors
    /// What the system says, and sizes above 128 KiB.
    pub async fn connect_to(address: SocketAddr, request_bytes: usize, reply_bytes: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = length(request_bytes)?.to_le_bytes().to_vec();
        request.extend(length(reply_bytes)?.to_le_bytes());
        request.extend(&BODY[..request_bytes]);
        Ok(Self { stream, request, reply: vec![0; reply_bytes] })
    }

    /// Answers whoever connects, in a task for each, until accepting fails.
    ///
    /// # Errors
    /// What the system says of a listener that accepts no more.
    pub async fn serve(listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream));
        }
    }

    /// Asks `iters` times, one after the other.
    ///
    /// # Errors
    /// What the system says, and a reply of other bytes than were sent.
    pub async fn run(mut self, iters: u64) -> io::Result<Self> {
        for _ in 0..iters {
            self.ask().await?;
        }
        Ok(self)
    }

    /// Asks once.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        self.stream.read_exact(&mut self.reply).await?;
        let ends = [self.reply.first(), self.reply.last()];
        if ends != [Some(&FILL); 2] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the floor's reply has other bytes"));
        }
        Ok(())
    }
}

/// Answers until the other end closes, which shows as the end of the stream.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Zeros take no memory until they are read into.
    let mut bytes = vec![0; HEADER_BYTES + BODY_BYTES_MAX];
    loop {
        // Header and body mostly arrive together, so what is there is read at once.
        let mut held = 0;
        while held < HEADER_BYTES {
            held += more(&mut stream, &mut bytes[held..]).await?;
        }
        let (request_bytes, reply_bytes) = (body_bytes(&bytes[..4])?, body_bytes(&bytes[4..8])?);
        while held < HEADER_BYTES + request_bytes {
            held += more(&mut stream, &mut bytes[held..]).await?;
        }
        stream.write_all(&BODY[..reply_bytes]).await?;
    }
}

async fn more(stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
    match stream.read(room).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}

fn body_bytes(field: &[u8]) -> io::Result<usize> {
    let bytes = field.try_into().map(u32::from_le_bytes).map_err(io::Error::other)? as usize;
    if bytes > BODY_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

fn length(bytes: usize) -> io::Result<u32> {
    if bytes > BODY_BYTES_MAX { Err(too_large()) } else { u32::try_from(bytes).map_err(io::Error::other) }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the floor carries {BODY_BYTES_MAX} bytes at most"))
}
