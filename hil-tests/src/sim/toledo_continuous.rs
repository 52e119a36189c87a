//! An indicator with Toledo continuous output.

use std::time::Duration;

use weigh_scale::toledo_continuous::codec::{Frame, Unit};

use super::scale::{Display, Indicator};

/// An indicator that sends its display ten times a second, in kilograms.
#[derive(Clone, Copy, Debug)]
pub struct Toledo {
    /// Whether frames end with a checksum.
    pub checksum: bool,
    /// Whether bytes have 7 bits and even parity.
    pub even_parity: bool,
    /// Tare, kg; the display then shows net.
    pub tare_kg: Option<u32>,
    /// Whether it was zeroed after power-up.
    pub zeroed: bool,
}

impl Default for Toledo {
    fn default() -> Self {
        Self { checksum: true, even_parity: false, tare_kg: None, zeroed: true }
    }
}

impl Indicator for Toledo {
    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    fn send(&mut self, display: Display) -> Vec<u8> {
        let tare = self.tare_kg.unwrap_or_default();
        let frame = Frame {
            weight: i32::try_from(display.kg - i64::from(tare)).ok().filter(|_| !display.overload),
            tare: Some(tare),
            short: false,
            exponent: 0,
            net: self.tare_kg.is_some(),
            out_of_range: display.overload,
            motion: !display.stable,
            zeroed: self.zeroed,
            unit: Unit::Kilogram,
            expanded: false,
        };
        let bytes = frame.encode(self.checksum).into_iter();
        if !self.even_parity {
            return bytes.collect();
        }
        bytes.map(|byte| if byte.count_ones() % 2 == 1 { byte | 0x80 } else { byte }).collect()
    }
}
