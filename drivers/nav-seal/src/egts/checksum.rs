//! The two checksums of EGTS (GOST 33472-2015, appendix on the transport layer).

/// Header checksum HCS: CRC-8 with polynomial 0x31 and initial value 0xFF, most significant bit first.
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xFF, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x31 })
    })
}

/// Data checksum SFRCS: CRC-16/CCITT-FALSE, polynomial 0x1021 and initial value 0xFFFF.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_standard() {
        assert_eq!(crc8(b"123456789"), 0xF7);
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }
}
