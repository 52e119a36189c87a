//! A TCP proxy that can cut connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards a loopback port to another one. Ends with its owner.
#[derive(Debug)]
pub struct Proxy {
    /// The port it listens on.
    pub port: u16,
    cut: Arc<watch::Sender<u64>>,
    open: Arc<watch::Sender<bool>>,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and forwards to `target` on loopback.
    pub async fn start(target: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let cut = Arc::new(watch::Sender::new(0));
        let open = Arc::new(watch::Sender::new(true));
        let connections = Arc::new(AtomicU64::new(0));
        let accepting =
            tokio::spawn(accept(listener, target, cut.clone(), open.clone(), connections.clone()));
        Ok(Self { port, cut, open, connections, accepting })
    }

    /// Cuts every connection; new ones are taken.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every connection and takes no new ones: those who connect are turned away.
    pub fn close(&self) {
        self.open.send_replace(false);
        self.cut();
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// How many connections were forwarded so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    cut: Arc<watch::Sender<u64>>,
    open: Arc<watch::Sender<bool>>,
    connections: Arc<AtomicU64>,
) {
    while let Ok((near, _)) = listener.accept().await {
        if *open.borrow() {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(forward(near, target, cut.subscribe()));
        }
    }
}

async fn forward(mut near: TcpStream, target: u16, mut cut: watch::Receiver<u64>) {
    let Ok(mut far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], target))).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.changed() => {}
    }
}
