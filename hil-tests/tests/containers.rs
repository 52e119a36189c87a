//! Container codes: rendered walls through the reader, and through the daemon from a folder camera into the packet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use hil_tests::agent::{Agent, recognition_files};
use hil_tests::scene::{CodeLayout, ContainerText, render_container};
use models::{CheckDigit, ContainerOptions, ContainerReader, Manifest, ModelStore, Picture, Runtime};

const LIMIT: Duration = Duration::from_secs(120);

const MODEL: &str = "PP-OCRv6_rec_small.onnx";

fn text(code: &str, type_code: &str, layout: CodeLayout) -> ContainerText {
    ContainerText { code: code.into(), type_code: type_code.into(), layout }
}

#[test]
fn rendered_codes_are_read_in_every_layout_and_a_missing_check_digit_is_never_certain() {
    let Some((library, models)) = recognition_files(MODEL) else { return };
    let runtime = Runtime::load(&library).unwrap();
    let store = ModelStore::open(&models, Manifest::builtin().unwrap()).unwrap();
    let mut reader = ContainerReader::load(&runtime, &store, ContainerOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (seed, layout) in
        (1..).zip([CodeLayout::Line, CodeLayout::Lines, CodeLayout::Column, CodeLayout::NoCheckDigit])
    {
        let file = folder.path().join("wall.png");
        render_container(&text("TEMU9545687", "45R1", layout), seed).unwrap().write(&file).unwrap();
        let reads = reader.read(&Picture::open(&file).unwrap()).unwrap();
        assert_eq!(reads.len(), 1, "{layout:?}: {reads:?}");
        let read = &reads[0];
        assert_eq!(read.code, "TEMU9545687", "{layout:?}: {read:?}");
        // A column of four signs is too short for the text finder: such a type code is absent, never guessed.
        assert!(
            read.type_code.is_none() || read.type_code.as_deref() == Some("45R1"),
            "{layout:?}: {read:?}"
        );
        assert!(read.type_code.is_some() || layout == CodeLayout::Column, "{layout:?}: {read:?}");
        if layout == CodeLayout::NoCheckDigit {
            assert!(read.check_digit == CheckDigit::Recomputed && !read.certain, "{read:?}");
        } else {
            assert!(matches!(read.check_digit, CheckDigit::Read | CheckDigit::Joined), "{read:?}");
        }
    }
}

/// A picture in the folder of a camera that reads containers: code, type code and origin of the check digit are in the
/// packet.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_a_container_becomes_a_packet_with_its_code() {
    let Some((library, models)) = recognition_files(MODEL) else { return };
    let file = format!(
        r#"
[site]
id = "S"
box = "b"
[[lane]]
id = "in-1"
direction = "in"
[[lane.station]]
id = "entry"
position_m = 0.0
required = ["container"]
[[sensor]]
id = "codes"
station = "in-1/entry"
protocol = "camera/folder"
path = "pictures"
reads = ["container"]
[recognition]
runtime = "{library}"
models = "{models}"
[storage]
directory = "store"
"#,
        library = library.display(),
        models = models.display(),
    );
    let mut agent = Agent::new(&file).unwrap();
    let pictures = agent.folder().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    agent.start().unwrap();

    let wall = render_container(&text("TEMU9545687", "45R1", CodeLayout::Line), 1).unwrap();
    wall.write(&agent.folder().join("wall.png")).unwrap();
    std::fs::rename(agent.folder().join("wall.png"), pictures.join("wall.png")).unwrap();
    let told = "edge_agent_events_total{kind=\"packet\"}";
    agent.wait_for_metric(told, LIMIT).await.unwrap();
    agent.terminate().unwrap();

    let events = agent.outbox().unwrap();
    let packet = events
        .iter()
        .map(|event| event["payload"]["data"].clone())
        .rfind(|data| data.get("passage_id").is_some())
        .expect("a packet");
    let container = &packet["containers"]["value"][0];
    assert_eq!(container["code"], "TEMU9545687", "{packet:#}");
    assert_eq!(container["type_code"], "45R1", "{packet:#}");
    assert_eq!(container["check_digit"], "read", "{packet:#}");
    assert!(!packet["evidence"].as_array().unwrap().is_empty(), "{packet:#}");
}
