//! A Tenso-M indicator.

use weigh_scale::tenso_m::codec::{Operation, Reply, Splitter, Weight, crc8, encode_reply};

use super::scale::{Display, Indicator};

/// What an indicator does with a request in the other form, with or without CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongForm {
    /// Answers with error 06 or 05.
    Error,
    /// Does not answer.
    Silence,
}

/// A Tenso-M indicator that shows whole kilograms.
#[derive(Debug)]
pub struct TensoM {
    /// Its number on the bus.
    pub address: u8,
    /// Whether it is set to CRC.
    pub crc: bool,
    /// What it does with requests of the other form.
    pub wrong_form: WrongForm,
    /// Whether it answers every request with this error.
    pub error: Option<u8>,
    splitter: Splitter,
}

impl TensoM {
    /// Number 1, with CRC.
    pub fn new() -> Self {
        Self {
            address: 1,
            crc: true,
            wrong_form: WrongForm::Error,
            error: None,
            splitter: Splitter::default(),
        }
    }

    /// Set to CRC or not, and what it does with requests of the other form.
    pub fn with(crc: bool, wrong_form: WrongForm) -> Self {
        Self { crc, wrong_form, ..Self::new() }
    }

    /// Answers every request with this error.
    pub fn failing(code: u8) -> Self {
        Self { error: Some(code), ..Self::new() }
    }

    fn reply(&self, body: &[u8], display: Display) -> Option<Reply> {
        let (&address, &operation, rest) = match body {
            [address, operation, rest @ ..] => (address, operation, rest),
            _ => return None,
        };
        if address != self.address {
            return None;
        }
        let wrong = match (self.crc, rest) {
            (true, [crc]) if *crc == crc8(&[address, operation]) => None,
            (true, _) => Some(0x06),
            (false, []) => None,
            (false, _) => Some(0x05),
        };
        match (wrong, self.wrong_form) {
            (Some(code), WrongForm::Error) => return Some(Reply::Error(code)),
            (Some(_), WrongForm::Silence) => return None,
            (None, _) => {}
        }
        if let Some(code) = self.error {
            return Some(Reply::Error(code));
        }
        if operation == Operation::Serial.code() {
            return Some(Reply::Serial(0xFF_12_34));
        }
        if operation != Operation::Gross.code() {
            return Some(Reply::Unsupported);
        }
        let digits = i32::try_from(display.kg).ok().filter(|_| !display.overload);
        let weight = Weight { digits, decimals: 0, stable: display.stable };
        Some(Reply::Weight { operation: Operation::Gross, weight })
    }
}

impl Default for TensoM {
    fn default() -> Self {
        Self::new()
    }
}

impl Indicator for TensoM {
    fn receive(&mut self, bytes: &[u8], display: Display) -> Vec<u8> {
        self.splitter.push(bytes);
        let mut out = Vec::new();
        while let Some(body) = self.splitter.next_body() {
            if let Some(reply) = self.reply(&body, display) {
                out.extend(encode_reply(self.address, &reply, self.crc));
            }
        }
        out
    }
}
