//! The EPC decoder against an independent encoder, and against any bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use proptest::prelude::*;
use rfid_reader::epc::{Epc, EpcError, decode};
use serde_json::Value;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn epcs_of_an_independent_encoder_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/epc_tds_vectors.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let epc = decode(&bytes(vector["hex"].as_str().unwrap())).unwrap();
        assert_eq!(epc.tag_uri(), vector["tag_uri"]);
        assert_eq!(epc.pure_uri(), vector["pure_uri"]);
    }
}

#[test]
fn a_general_identifier_is_read() {
    // 0x35, manager 28 bits, class 24 bits, serial 36 bits.
    let epc = decode(&bytes("3500000010000020000000FF")).unwrap();
    assert_eq!(epc, Epc::Gid { manager: 1, class: 2, serial: 255 });
    assert_eq!(epc.tag_uri(), "urn:epc:tag:gid-96:1.2.255");
}

#[test]
fn a_company_prefix_of_twelve_digits_leaves_no_digits_for_a_location() {
    // Header 0x32, filter 0, partition 0, company prefix 1, location bit, extension 5.
    let with_location =
        |bit: u128| ((0x32u128 << 88) | (1 << 42) | (bit << 41) | 5).to_be_bytes()[4..].to_vec();
    assert_eq!(decode(&with_location(0)).unwrap().pure_uri(), "urn:epc:id:sgln:000000000001..5");
    let error = decode(&with_location(1)).unwrap_err();
    assert_eq!(error, EpcError::TooLarge { field: "location reference", value: 1, digits: 0 });
}

#[test]
fn what_is_no_epc_says_why() {
    // Partition 7.
    assert_eq!(decode(&bytes("301C00000000000000000000")), Err(EpcError::Partition(7)));
    // A tag maker's own number, as tags come from the factory.
    assert_eq!(decode(&bytes("E2000017010B016210000001")), Err(EpcError::Header(0xE2)));
    assert_eq!(decode(&[0x30; 16]), Err(EpcError::Length(16)));
    // The SSCC of the vectors with its last bit set.
    assert_eq!(decode(&bytes("310DB6CED401C9C381000001")), Err(EpcError::Padding(1)));
    // Partition 6: 20 bits for six digits, all set.
    let error = decode(&bytes("301BFFFFC000000000000000")).unwrap_err();
    assert_eq!(error, EpcError::TooLarge { field: "company prefix", value: 0xF_FFFF, digits: 6 });
}

proptest! {
    #[test]
    fn any_bytes_give_an_epc_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_decoded_epc_has_the_digits_of_the_standard(header in 0x30u8..0x36, rest: [u8; 11]) {
        let mut bytes = vec![header];
        bytes.extend(rest);
        match decode(&bytes) {
            Ok(Epc::Sgtin { company, item, .. }) => prop_assert_eq!(company.len() + item.len(), 13),
            Ok(Epc::Sscc { company, serial, .. }) => prop_assert_eq!(company.len() + serial.len(), 17),
            Ok(Epc::Sgln { company, location, .. }) => prop_assert_eq!(company.len() + location.len(), 12),
            Ok(Epc::Grai { company, asset_type, .. }) => prop_assert_eq!(company.len() + asset_type.len(), 12),
            Ok(Epc::Giai { company, .. }) => prop_assert!((6..=12).contains(&company.len())),
            Ok(Epc::Gid { .. }) | Err(_) => {}
        }
    }
}
