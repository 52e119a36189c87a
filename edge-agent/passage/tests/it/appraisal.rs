//! What the engine found, held against a truth.

use interface::ObservationId;
use passage::{Engine, Input};

use crate::world::*;

#[test]
fn what_is_found_differs_from_a_truth_only_where_it_does_and_costs_what_its_parts_cost() {
    let mut script = Script::default();
    script.truck("in-1", 10_000, "A001MP05").truck("in-1", 30_000, "X987KH77");
    let mut engine = Engine::new(checkpoint());
    for observation in script.observations() {
        engine.step(&observation.stamp.clone(), Input::Observation(observation));
    }
    let occupancy = |id: &ObservationId| (id.seq - 1) / 2;
    // A truck leaves one or two readings with each sensor.
    let truth = |id: &ObservationId| match id.sensor.0.as_str() {
        "in-1/rear" | "in-1/rpm" | "in-1/out" => Some(id.seq - 1),
        _ => Some(occupancy(id)),
    };
    let differences = |whose: &dyn Fn(&ObservationId) -> Option<u64>| -> Vec<_> {
        engine.appraise(whose).into_iter().flat_map(|(_, differences)| differences).collect()
    };
    assert_eq!(differences(&truth), []);
    // Somebody claims that the first truck left the lane before the exit, and that a third one was there.
    let wrong = |id: &ObservationId| {
        let at_exit = id.sensor.0 == "in-1/exit" || id.sensor.0 == "in-1/out";
        truth(id).map(|vehicle| if at_exit && vehicle == 0 { 7 } else { vehicle })
    };
    let found = differences(&wrong);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].found.len(), found[0].truth.len()), (1, 2));
    let cost = |courses: &[passage::Course]| courses.iter().map(|course| course.cost).sum::<f64>();
    assert!(cost(&found[0].found) + 5.0 < cost(&found[0].truth));
    for course in found[0].found.iter().chain(&found[0].truth) {
        assert!((course.parts.values().sum::<f64>() - course.cost).abs() < 1e-9, "{course:#?}");
    }
}
