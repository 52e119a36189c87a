//! One remote I/O module on Modbus TCP: reads of a block of bits, writes of one coil, each with a time-out.
//!
//! Replies are checked here: the convenience methods of the client library assert their shape.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{Error, ExceptionCode, Request, Response, Slave};

use super::InputArea;

/// Why the module could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No connection.
    #[error(
        "failed to connect to {address}: {error}; check power, cable, address and that the module accepts one more client"
    )]
    Connect {
        /// Where.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// The module was silent.
    #[error("no answer to {request} within {} ms", .limit.as_millis())]
    Silent {
        /// What was asked.
        request: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection broke, or carried something else than Modbus.
    #[error("{request} failed: {error}")]
    Broken {
        /// What was asked.
        request: String,
        /// Why.
        error: Error,
    },
    /// The module refused.
    #[error("the module refused {request} with exception {code} ({}); {}", u8::from(*.code), hint(.code))]
    Refused {
        /// What was asked.
        request: String,
        /// Its exception.
        code: ExceptionCode,
    },
    /// The module answered something else.
    #[error("expected an answer to {request}, found {found}")]
    Mismatch {
        /// What was asked.
        request: String,
        /// What came.
        found: String,
    },
}

fn hint(code: &ExceptionCode) -> &'static str {
    match code {
        ExceptionCode::IllegalDataAddress => "check the numbers of the inputs and coils against its manual",
        ExceptionCode::IllegalFunction => "check `inputs`: some modules have their inputs among the coils",
        ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice => {
            "check `unit` and the devices behind the gateway"
        }
        _ => "see its manual",
    }
}

/// A connected module.
pub struct Module {
    context: Context,
    limit: Duration,
}

impl Module {
    /// Connects to `address` (`host:port`).
    pub async fn connect(address: &str, unit: u8, limit: Duration) -> Result<Self, WireError> {
        let error = |error| WireError::Connect { address: address.to_owned(), error };
        let stream = timeout(limit, TcpStream::connect(address)).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(error)?;
        stream.set_nodelay(true).map_err(error)?;
        Ok(Self { context: tcp::attach_slave(stream, Slave(unit)), limit })
    }

    /// Reads `count` bits from number `first`.
    pub async fn read(&mut self, area: InputArea, first: u16, count: u16) -> Result<Vec<bool>, WireError> {
        let request = match area {
            InputArea::Discrete => Request::ReadDiscreteInputs(first, count),
            InputArea::Coils => Request::ReadCoils(first, count),
        };
        let name = || format!("a read of {count} {} from {first}", area.word());
        let bits = match self.call(request, name).await? {
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => bits,
            other => return Err(WireError::Mismatch { request: name(), found: format!("{other:?}") }),
        };
        if bits.len() != usize::from(count).div_ceil(8) * 8 {
            return Err(WireError::Mismatch { request: name(), found: format!("{} bits", bits.len()) });
        }
        Ok(bits)
    }

    /// Switches coil `number`.
    pub async fn write(&mut self, number: u16, on: bool) -> Result<(), WireError> {
        let name = || format!("a write of {} to coil {number}", u8::from(on));
        match self.call(Request::WriteSingleCoil(number, on), name).await? {
            Response::WriteSingleCoil(echo, state) if (echo, state) == (number, on) => Ok(()),
            other => Err(WireError::Mismatch { request: name(), found: format!("{other:?}") }),
        }
    }

    async fn call(&mut self, request: Request<'_>, name: impl Fn() -> String) -> Result<Response, WireError> {
        match timeout(self.limit, self.context.call(request)).await {
            Err(_) => Err(WireError::Silent { request: name(), limit: self.limit }),
            Ok(Err(error)) => Err(WireError::Broken { request: name(), error }),
            Ok(Ok(Err(code))) => Err(WireError::Refused { request: name(), code }),
            Ok(Ok(Ok(response))) => Ok(response),
        }
    }
}
