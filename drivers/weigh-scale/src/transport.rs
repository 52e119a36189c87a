//! The wire to an indicator: a serial port, or a serial server over TCP.

use std::io;
use std::time::Duration;

use interface::{ConfigError, DriverFault, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_serial::{SerialPortBuilderExt, SerialStream};

/// How long a serial server may take to accept a connection, and a wire to take a request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Speeds that indicators offer, baud.
pub const BAUDS: [u32; 8] = [1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200];

/// Parity of a serial port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// How a serial port is set. One stop bit, no flow control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialSettings {
    /// Speed, baud; one of [`BAUDS`].
    pub baud: u32,
    /// Whether a character has 7 data bits, not 8.
    pub seven_bits: bool,
    /// Parity.
    pub parity: Parity,
}

/// Where an indicator is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A serial port of this machine.
    Serial {
        /// Device path.
        port: String,
        /// How it is set.
        settings: SerialSettings,
    },
    /// A serial server.
    Tcp {
        /// `host:port`.
        address: String,
    },
}

/// Why the wire is of no use now.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The serial port is not there.
    #[error(
        "there is no serial port {0}: check that its converter is plugged in (list: ls /dev/serial/by-id)"
    )]
    NoPort(String),
    /// Not allowed to open it.
    #[error("not allowed to open serial port {0}: add the service's user to the group dialout")]
    Denied(String),
    /// Could not be opened or connected.
    #[error("failed to open {name}: {why}")]
    Open {
        /// Which wire.
        name: String,
        /// What the system said.
        why: String,
    },
    /// The other end is gone.
    #[error("{0} was disconnected: check the plug, the converter or the serial server")]
    Gone(String),
    /// Reading or writing failed.
    #[error("{name} was lost: {why}")]
    Lost {
        /// Which wire.
        name: String,
        /// What the system said.
        why: String,
    },
}

impl From<WireError> for DriverFault {
    fn from(error: WireError) -> Self {
        Self(error.to_string())
    }
}

impl Wire {
    /// Exactly one of `port` and `address` must be given.
    pub fn new(
        port: Option<String>,
        address: Option<String>,
        settings: SerialSettings,
    ) -> Result<Self, ConfigError> {
        if !BAUDS.contains(&settings.baud) {
            let message = format!("expected one of {BAUDS:?}, found {}", settings.baud);
            return Err(ConfigError::field("baud", message));
        }
        match (port, address) {
            (Some(port), None) if port.starts_with('/') => Ok(Self::Serial { port, settings }),
            (Some(port), None) => {
                let message = format!("expected a device path such as /dev/serial/by-id/…, found `{port}`");
                Err(ConfigError::field("port", message))
            }
            (None, Some(address)) => {
                let good = address.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
                });
                if !good {
                    let message = format!("expected host:port such as 10.0.0.21:4001, found `{address}`");
                    return Err(ConfigError::field("address", message));
                }
                Ok(Self::Tcp { address })
            }
            (None, None) => Err(ConfigError {
                field: None,
                message: "expected `port` (a serial port) or `address` (host:port of a serial server), found neither"
                    .to_owned(),
            }),
            (Some(_), Some(_)) => Err(ConfigError::field(
                "address",
                "`port` and `address` exclude each other: give `port` for a serial port, or `address` for a serial server",
            )),
        }
    }

    /// Its name for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Serial { port, .. } => port,
            Self::Tcp { address } => address,
        }
    }

    /// What it uses exclusively.
    pub fn claim(&self) -> Resource {
        match self {
            Self::Serial { port, .. } => Resource::SerialPort(port.clone()),
            Self::Tcp { address } => Resource::Endpoint(address.clone()),
        }
    }

    /// Opens the port or connects.
    pub async fn open(&self) -> Result<Link, WireError> {
        let name = self.name().to_owned();
        let end = match self {
            Self::Serial { port, settings } => End::Serial(open_serial(port, *settings)?),
            Self::Tcp { address } => match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => End::Tcp(stream),
                Ok(Err(error)) => return Err(WireError::Open { name, why: error.to_string() }),
                Err(_) => {
                    let why =
                        format!("no answer within {CONNECT_TIMEOUT:?}; check the network and the address");
                    return Err(WireError::Open { name, why });
                }
            },
        };
        Ok(Link { name, end })
    }
}

fn open_serial(port: &str, settings: SerialSettings) -> Result<SerialStream, WireError> {
    let opened = tokio_serial::new(port, settings.baud)
        .data_bits(if settings.seven_bits {
            tokio_serial::DataBits::Seven
        } else {
            tokio_serial::DataBits::Eight
        })
        .parity(match settings.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(tokio_serial::StopBits::One)
        .flow_control(tokio_serial::FlowControl::None)
        .open_native_async();
    opened.map_err(|error| match error.kind() {
        tokio_serial::ErrorKind::NoDevice | tokio_serial::ErrorKind::Io(io::ErrorKind::NotFound) => {
            WireError::NoPort(port.to_owned())
        }
        tokio_serial::ErrorKind::Io(io::ErrorKind::PermissionDenied) => WireError::Denied(port.to_owned()),
        _ => WireError::Open { name: port.to_owned(), why: error.to_string() },
    })
}

/// An open wire.
#[derive(Debug)]
pub struct Link {
    name: String,
    end: End,
}

#[derive(Debug)]
enum End {
    Serial(SerialStream),
    Tcp(TcpStream),
}

impl Link {
    /// Waits for bytes; never gives zero. An unplugged serial port reads as zero bytes for ever, so that zero bytes
    /// are a disconnection here as they are on TCP.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, WireError> {
        let read = match &mut self.end {
            End::Serial(stream) => stream.read(buffer).await,
            End::Tcp(stream) => stream.read(buffer).await,
        };
        match read {
            Ok(0) => Err(WireError::Gone(self.name.clone())),
            Ok(read) => Ok(read),
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Writes all of `bytes`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let writing = async {
            match &mut self.end {
                End::Serial(stream) => stream.write_all(bytes).await,
                End::Tcp(stream) => stream.write_all(bytes).await,
            }
        };
        match timeout(WRITE_TIMEOUT, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error)),
            Err(_) => {
                let why = format!("it took no bytes for {WRITE_TIMEOUT:?}");
                Err(WireError::Lost { name: self.name.clone(), why })
            }
        }
    }

    fn lost(&self, error: &io::Error) -> WireError {
        // EIO is what Linux says of a serial port whose device is gone.
        const EIO: i32 = 5;
        if error.raw_os_error() == Some(EIO) {
            return WireError::Gone(self.name.clone());
        }
        WireError::Lost { name: self.name.clone(), why: error.to_string() }
    }
}
