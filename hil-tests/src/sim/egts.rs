//! A navigation seal, or its operator's platform, that reports by EGTS over TCP.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use interface::UtcMs;
use nav_seal::egts::record::{AUTH, EPOCH_S, PosData, Record, Subrecord, TELEDATA, TermIdentity};
use nav_seal::egts::transport::{Body, Incoming, Packet, Splitter, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take (GOST 33472, transport timers).
const ANSWER: Duration = Duration::from_secs(5);

/// A terminal with an open connection. Every report waits for its answer.
#[derive(Debug)]
pub struct SealTerminal {
    stream: TcpStream,
    splitter: Splitter,
    id: u32,
    time: u32,
    next_packet: u16,
    next_record: u16,
}

impl SealTerminal {
    /// Connects and authorises as terminal `id`.
    pub async fn connect(server: SocketAddr, id: u32) -> anyhow::Result<Self> {
        let mut terminal = Self::connect_silently(server, id).await?;
        let identity = TermIdentity { terminal: id, ..TermIdentity::default() };
        let results = terminal.send(AUTH, None, &[Subrecord::TermIdentity(identity)]).await?;
        ensure!(results == [0], "the authorisation record was answered {results:?}");
        let answer = terminal.receive().await?;
        let Body::AppData(records) = &answer.body else { bail!("expected RESULT_CODE, found {answer:?}") };
        let said = records.first().and_then(Record::subrecords).unwrap_or_default();
        terminal.write(Body::Response { to: answer.id, result: 0, records: Vec::new() }).await?;
        match said.as_slice() {
            [Subrecord::ResultCode(0)] => Ok(terminal),
            [Subrecord::ResultCode(code)] => bail!("authorisation of terminal {id} refused with code {code}"),
            other => bail!("expected RESULT_CODE, found {other:?}"),
        }
    }

    /// Connects without a word, as some platforms do; reports then name their object.
    pub async fn connect_silently(server: SocketAddr, id: u32) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(server).await.with_context(|| format!("no EGTS server at {server}"))?;
        stream.set_nodelay(true)?;
        let splitter = Splitter::default();
        // 2026-11-22T08:00:00Z; a report takes a second of the terminal's own time.
        let time = 533_030_400;
        Ok(Self { stream, splitter, id, time, next_packet: 1, next_record: 1 })
    }

    /// Sets the terminal's clock.
    pub fn set_time(&mut self, now: UtcMs) {
        self.time = u32::try_from(now.0 / 1000 - EPOCH_S).unwrap_or_default();
    }

    /// The terminal's clock.
    pub fn time(&self) -> UtcMs {
        nav_seal::egts::seal::utc(self.time)
    }

    /// The sub-record of a report: digital inputs and cause, at the terminal's time.
    pub fn position(&self, inputs: u8, cause: u8) -> PosData {
        // The checkpoint at Troitsk, 54.0 N 61.6 E, standing, with a fix.
        let scale = |degrees: f64, full: f64| (degrees / full * f64::from(u32::MAX)) as u32;
        PosData {
            time: self.time,
            latitude: scale(54.0, 90.0),
            longitude: scale(61.6, 180.0),
            flags: 0b11,
            inputs,
            cause,
            ..PosData::default()
        }
    }

    /// Reports the digital inputs `inputs` for the cause `cause` (0 timer, 4 input change, 10 case opened, 12 battery
    /// low), waits for the answer and checks it.
    pub async fn report(&mut self, inputs: u8, cause: u8) -> anyhow::Result<()> {
        self.time += 1;
        let position = self.position(inputs, cause);
        let results = self.send(TELEDATA, Some(self.id), &[Subrecord::PosData(position)]).await?;
        ensure!(results == [0], "the report was answered {results:?}");
        Ok(())
    }

    /// Sends one record in one packet; gives the result code of each record that the answer speaks of.
    pub async fn send(
        &mut self,
        service: u8,
        object: Option<u32>,
        subrecords: &[Subrecord],
    ) -> anyhow::Result<Vec<u8>> {
        let bytes = self.packet(service, object, subrecords)?;
        self.send_bytes(&bytes).await?;
        let (to, result, results) = self.receive_response().await?;
        ensure!(to == self.next_packet.wrapping_sub(1), "the answer is to packet {to}, not to the last one");
        ensure!(result == 0, "the packet was refused with code {result}");
        Ok(results)
    }

    /// The bytes of a packet with one record, numbered as the next.
    pub fn packet(
        &mut self,
        service: u8,
        object: Option<u32>,
        subrecords: &[Subrecord],
    ) -> anyhow::Result<Vec<u8>> {
        let record = Record::new(self.next_record, service, subrecords)?;
        self.next_record = self.next_record.wrapping_add(1);
        self.encode(Body::AppData(vec![Record { object, ..record }]))
    }

    fn encode(&mut self, body: Body) -> anyhow::Result<Vec<u8>> {
        let packet = Packet { id: self.next_packet, priority: 0, route: None, body };
        self.next_packet = self.next_packet.wrapping_add(1);
        Ok(encode(&packet)?)
    }

    async fn write(&mut self, body: Body) -> anyhow::Result<()> {
        let bytes = self.encode(body)?;
        self.send_bytes(&bytes).await
    }

    /// Puts bytes on the wire as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("the server does not take any more")
    }

    /// The next answer: the packet that it is to, its result code, and that of each record.
    pub async fn receive_response(&mut self) -> anyhow::Result<(u16, u8, Vec<u8>)> {
        let packet = self.receive().await?;
        let Body::Response { to, result, records } = packet.body else {
            bail!("expected an answer, found {packet:?}");
        };
        let results = records.iter().flat_map(|record| record.subrecords().unwrap_or_default());
        let results = results.filter_map(|subrecord| match subrecord {
            Subrecord::RecordResponse { result, .. } => Some(result),
            _ => None,
        });
        Ok((to, result, results.collect()))
    }

    /// The next packet from the server.
    pub async fn receive(&mut self) -> anyhow::Result<Packet> {
        let mut buffer = [0u8; 4096];
        loop {
            match self.splitter.next_packet()? {
                Some(Incoming::Packet(packet)) => return Ok(packet),
                Some(Incoming::Refused(refusal)) => bail!("the server sent bad data: {refusal:?}"),
                None => {}
            }
            let read = timeout(ANSWER, self.stream.read(&mut buffer)).await;
            let count = read.context("the server did not answer in time")??;
            ensure!(count > 0, "the server closed the connection");
            self.splitter.push(buffer.get(..count).unwrap_or_default());
        }
    }
}
