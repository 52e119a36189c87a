//! Names that radio hears, at several readers.

use interface::{ReadingKind, SensorId};
use passage::{LaneId, SensorPlace, StationId};

use crate::world::*;

#[test]
fn a_tag_goes_where_all_readers_that_heard_it_fit_best() {
    let mut layout = checkpoint();
    let place = SensorPlace {
        lane: LaneId("in-1".into()),
        station: StationId("exit".into()),
        readings: vec![ReadingKind::Tag],
        view: None,
        box_clock: false,
    };
    layout.sensors.insert(SensorId("in-1/tag-out".into()), place);
    let mut script = Script::default();
    script.truck("in-1", 10_000, "A001MP05").truck("in-1", 22_000, "X987KH77");
    // At the entry it is heard when the first truck has just left, far ahead of the second one.
    script.say(14_500, "in-1/tag", tag("30AA", -50.0));
    let alone = play_in(layout.clone(), &script.observations());
    assert_eq!(
        alone.reports.iter().map(|report| count(report, ReadingKind::Tag)).collect::<Vec<_>>(),
        [1, 0]
    );
    // At the exit it is the second one's beyond doubt.
    script.say(52_200, "in-1/tag-out", tag("30AA", -45.0)).say(53_000, "in-1/tag-out", tag("30AA", -44.0));
    let both = play_in(layout, &script.observations());
    assert_eq!(both.reports.iter().map(|report| count(report, ReadingKind::Tag)).collect::<Vec<_>>(), [0, 3]);
}
