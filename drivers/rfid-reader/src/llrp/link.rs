//! A connection to a reader: greeting, requests and answers, keep-alive, silence.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use interface::DriverFault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Settings;
use super::frame::{Frame, FrameBuffer, HEADER_BYTES};
use super::message::{Message, status_name};
use super::parameter::Parameter;

/// Bytes of notifications kept while an answer is awaited. More than a reader sends in that time; when full, the
/// connection is given up, since the reader then talks without answering.
const MAX_EARLY_BYTES: usize = 4 << 20;

/// How many keep-alive periods may pass without a message.
const SILENT_PERIODS: u32 = 3;

/// Message types that are looked for before a message is decoded.
const KEEPALIVE: u16 = 62;
const ERROR_MESSAGE: u16 = 100;

/// How long a reader may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// An open connection whose reader has accepted us.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    address: String,
    answer_limit: Duration,
    silence_limit: Duration,
    heard: Instant,
    frames: FrameBuffer,
    chunk: Vec<u8>,
    early: VecDeque<Frame>,
    early_bytes: usize,
    last_id: u32,
}

impl Link {
    /// Connects and waits for the reader's first word.
    pub async fn open(settings: &Settings) -> Result<Self, DriverFault> {
        let Settings { address, connect_timeout, keepalive, .. } = settings;
        let limit = connect_timeout.as_secs();
        let stream = match timeout(*connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(DriverFault(format!(
                    "failed to connect to the RFID reader at {address}: {error}; check its power, its cable and the address"
                )));
            }
            Err(_) => {
                return Err(DriverFault(format!(
                    "the RFID reader at {address} did not take the connection within {limit} s; check its power, its cable and the address"
                )));
            }
        };
        // Requests are small and each waits for its answer: sending them at once is all that matters. A socket that
        // cannot be told so is slower, not wrong.
        let _ = stream.set_nodelay(true);
        let mut link = Self {
            stream,
            address: address.clone(),
            answer_limit: *connect_timeout,
            silence_limit: (*keepalive * SILENT_PERIODS).max(*connect_timeout),
            heard: Instant::now(),
            frames: FrameBuffer::default(),
            chunk: vec![0; 8192],
            early: VecDeque::new(),
            early_bytes: 0,
            last_id: 0,
        };
        let status = within(*connect_timeout, link.greeting()).await.unwrap_or_else(|| {
            Err(DriverFault(format!(
                "{address} took the connection but sent no LLRP greeting within {limit} s; check that it is an RFID reader and that this is its LLRP port (5084)"
            )))
        })?;
        match status {
            0 => Ok(link),
            refused => Err(DriverFault(format!(
                "the RFID reader at {address} refused the connection: {}",
                refusal(refused)
            ))),
        }
    }

    /// Status of the ConnectionAttemptEvent with which a reader begins.
    async fn greeting(&mut self) -> Result<u16, DriverFault> {
        loop {
            let frame = self.receive().await?;
            let status = event(&self.decode(&frame)?).iter().find_map(|parameter| match parameter {
                Parameter::ConnectionAttempt { status, .. } => Some(*status),
                _ => None,
            });
            match status {
                Some(status) => return Ok(status),
                None => self.keep(frame)?,
            }
        }
    }

    /// The next message of the reader. Keep-alives are answered here, and returned too.
    pub async fn next(&mut self) -> Result<Message, DriverFault> {
        let frame = match self.early.pop_front() {
            Some(frame) => {
                self.early_bytes = self.early_bytes.saturating_sub(HEADER_BYTES + frame.body.len());
                frame
            }
            None => self.receive().await?,
        };
        self.decode(&frame)
    }

    /// Sends a request and waits for its answer, which must say success.
    pub async fn command(&mut self, request: &Message) -> Result<Message, DriverFault> {
        let answer = self.request(request).await?;
        match answer.status() {
            Some((0, _)) => Ok(answer),
            Some((code, text)) => {
                let text = if text.is_empty() { String::new() } else { format!(": {text}") };
                Err(self.fault(format!("refused {}: {} ({code}){text}", request.name(), status_name(code))))
            }
            None => Err(self.fault(format!("answered {} without a status", request.name()))),
        }
    }

    /// Sends a request and waits for its answer, whatever it says.
    pub async fn request(&mut self, request: &Message) -> Result<Message, DriverFault> {
        let limit = self.answer_limit;
        let answer = within(limit, self.exchange(request)).await;
        answer.unwrap_or_else(|| {
            Err(self.fault(format!("did not answer {} within {} s", request.name(), limit.as_secs())))
        })
    }

    async fn exchange(&mut self, request: &Message) -> Result<Message, DriverFault> {
        let sent = self.send(request).await?;
        loop {
            let frame = self.receive().await?;
            let answers = frame.kind == ERROR_MESSAGE || request.answer_kind() == Some(frame.kind);
            // The reader numbers its own notifications, so an equal id alone proves nothing.
            if frame.id == sent && answers {
                return self.decode(&frame);
            }
            self.keep(frame)?;
        }
    }

    /// Keeps what came while something else was awaited.
    fn keep(&mut self, frame: Frame) -> Result<(), DriverFault> {
        self.early_bytes += HEADER_BYTES + frame.body.len();
        if self.early_bytes > MAX_EARLY_BYTES {
            return Err(self.fault(format!("sent {MAX_EARLY_BYTES} bytes but no answer")));
        }
        self.early.push_back(frame);
        Ok(())
    }

    fn decode(&self, frame: &Frame) -> Result<Message, DriverFault> {
        Message::decode(frame).map_err(|error| self.fault(format!("sent a damaged message: {error}")))
    }

    /// Sends a message and returns its id.
    pub async fn send(&mut self, message: &Message) -> Result<u32, DriverFault> {
        self.last_id = self.last_id.wrapping_add(1);
        let id = self.last_id;
        let bytes = message.frame(id).and_then(|frame| frame.encode());
        let bytes =
            bytes.map_err(|error| DriverFault(format!("failed to encode {}: {error}", message.name())))?;
        match timeout(self.answer_limit, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(id),
            Ok(Err(error)) => Err(self.fault(format!("closed the connection: {error}"))),
            Err(_) => Err(self.fault("takes no more data".to_owned())),
        }
    }

    /// Reads one message from the wire. Dropping this future loses nothing.
    async fn receive(&mut self) -> Result<Frame, DriverFault> {
        loop {
            let popped = self.frames.pop();
            if let Some(frame) =
                popped.map_err(|error| self.fault(format!("sent what is not LLRP: {error}")))?
            {
                self.heard = Instant::now();
                if frame.kind == KEEPALIVE {
                    self.send(&Message::KeepaliveAck { parameters: Vec::new() }).await?;
                }
                return Ok(frame);
            }
            let deadline = self.heard + self.silence_limit;
            match timeout_at(deadline, self.stream.read(&mut self.chunk)).await {
                Ok(Ok(0)) => return Err(self.fault("closed the connection".to_owned())),
                Ok(Ok(count)) => self.frames.push(self.chunk.get(..count).unwrap_or_default()),
                Ok(Err(error)) => return Err(self.fault(format!("broke the connection: {error}"))),
                Err(_) => {
                    let silent = self.silence_limit.as_secs();
                    return Err(
                        self.fault(format!("has been silent for {silent} s; check its power and its cable"))
                    );
                }
            }
        }
    }

    /// Says goodbye. What goes wrong here no longer matters: the connection ends anyway.
    pub async fn close(mut self) {
        self.answer_limit = GOODBYE;
        if let Err(fault) = self.request(&Message::CloseConnection { parameters: Vec::new() }).await {
            tracing::debug!(%fault, "no goodbye from the RFID reader");
        }
    }

    /// `what` said of this reader.
    pub fn fault(&self, what: String) -> DriverFault {
        DriverFault(format!("the RFID reader at {} {what}", self.address))
    }
}

/// What happened, if `message` is a notification.
pub(super) fn event(message: &Message) -> &[Parameter] {
    let Message::ReaderEventNotification { parameters } = message else { return &[] };
    let data = parameters.iter().find_map(|parameter| match parameter {
        Parameter::ReaderEventNotificationData { parameters } => Some(parameters.as_slice()),
        _ => None,
    });
    data.unwrap_or_default()
}

/// Words for the status of a ConnectionAttemptEvent (LLRP 1.0.1, section 13.2.6.11).
fn refusal(status: u16) -> String {
    match status {
        1 => {
            "it is connected to a client that it called itself (1); switch that off in the reader".to_owned()
        }
        2 => "another client holds it (2); a reader serves one at a time, find the other one and stop it"
            .to_owned(),
        3 => "it gives no reason (3); restart the reader if this lasts".to_owned(),
        4 => "another client is trying to connect (4); a reader serves one at a time".to_owned(),
        other => format!("status {other}, which LLRP 1.0.1 does not have"),
    }
}

/// The result of `work`, or `None` if it takes longer than `limit`.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    timeout(limit, work).await.ok()
}
