//! What plates and other names say: of being one vehicle's, and of its being a car or a lorry.

use interface::View;

use crate::group::{Group, Mark};
use crate::identity;
use crate::length_class::{ENDS_ALIKE, ENDS_DIFFER, Odds};
use crate::scene::Scene;

/// A plate that fits no other of its end, read well.
const OTHER_PLATE: f64 = 7.5;
/// Two plates further apart than this are not two readings of one.
const DIFFER: f64 = 2.0;

impl Scene<'_> {
    /// What the names of a course say together.
    pub(crate) fn names(&self, course: &[usize]) -> f64 {
        let mut cost = 0.0;
        for (index, seen) in self.visits(course).enumerate() {
            if seen.plates.is_empty() && seen.keys.is_empty() {
                continue;
            }
            let before = || self.visits(course).take(index);
            for view in View::ALL {
                let mut best: Option<f64> = None;
                for (_, text, read) in seen.plates.iter().filter(|(seen, ..)| seen == view) {
                    let known = before().flat_map(|other| &other.plates);
                    for (_, other, well) in known.filter(|(known, ..)| known == view) {
                        let price = plates_cost(self.distance(*text, *other), read.min(*well));
                        best = Some(best.map_or(price, |best| best.min(price)));
                    }
                }
                let new = || seen.plates.iter().filter(|(seen, ..)| seen == view);
                let any = || before().flat_map(|other| &other.plates);
                if let Some(best) = best {
                    cost += best;
                } else if new().any(|(_, text, _)| {
                    any().any(|(_, other, _)| self.distance(*text, *other) < identity::SAME)
                }) {
                    // A rear plate may differ from the front one: only that they are the same says something.
                    cost -= 4.0;
                }
            }
            for (kind, key) in &seen.keys {
                let same_kind = before().flat_map(|other| &other.keys).filter(|(known, _)| known == kind);
                let nearest = same_kind.map(|(_, known)| self.distance(*key, *known)).min_by(f64::total_cmp);
                cost += match nearest {
                    Some(distance) if distance <= 1.0 => plates_cost(distance, 1.0),
                    // A vehicle can have several containers: another one says little.
                    Some(_) => 0.5,
                    None => 0.0,
                };
            }
        }
        cost
    }

    /// What the plates of both ends of a vehicle say of its being a car or a lorry; nothing if one of them is not known, or if
    /// they are neither alike nor clearly different.
    pub(crate) fn ends(&self, course: &[usize]) -> Option<Odds> {
        let of = |view: View| {
            let plates = self.visits(course).flat_map(|seen| &seen.plates);
            plates.filter(move |(seen, ..)| *seen == view).map(|(_, text, _)| *text)
        };
        let apart =
            of(View::Front).flat_map(|front| of(View::Rear).map(move |rear| self.distance(front, rear)));
        match apart.min_by(f64::total_cmp)? {
            nearest if nearest <= 1.0 => Some(ENDS_ALIKE),
            nearest if nearest > DIFFER => Some(ENDS_DIFFER),
            _ => None,
        }
    }
}

/// How well a plate was read, 0 to 1; 1 stands for a text that is beyond doubt.
pub(crate) fn read_well(group: &Group) -> f64 {
    match &group.mark {
        Mark::Plate { confidence, .. } if group.items.len() < 2 && *confidence < 0.9 => confidence * 0.8,
        _ => 1.0,
    }
}

/// What two plates of one end at this distance say of being one vehicle's. `weight` is 1 if both were read well: then they
/// differ because the vehicles do; fleets have numbers in a row.
pub(crate) fn plates_cost(distance: f64, weight: f64) -> f64 {
    let unsure = weight < 1.0;
    if distance == 0.0 {
        -8.0
    } else if distance < identity::SAME {
        if unsure { -6.0 } else { -3.5 }
    } else if distance <= 1.0 {
        if unsure { -2.0 } else { 1.0 }
    } else if distance <= 2.0 {
        2.0 * weight
    } else {
        OTHER_PLATE * weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looking::Home;
    use crate::plan::Plan;
    use crate::travel::Travel;
    use crate::visits::Visits;
    use interface::{PlateReading, Reading, ReadingKind, WeighMode};
    use std::cell::RefCell;

    #[test]
    fn who_has_another_plate_behind_is_a_lorry_and_who_has_the_same_a_car() {
        let plan =
            Plan::with(
                &[0.0, 40.0],
                |station| {
                    if station == 1 { ReadingKind::Weight } else { ReadingKind::Presence }
                },
            );
        let plate = |at: u64, text: &str, view: View| {
            let read = PlateReading {
                text: text.into(),
                country: None,
                confidence: 0.9,
                view,
                candidates: Vec::new(),
            };
            Group::sample(&[(at, Reading::Plate(read))])
        };
        let travel = Travel::default();
        let class = |rear: &str, gross_kg: i64| {
            let edges = [
                (10_000, Reading::Presence { occupied: true }),
                (15_000, Reading::Presence { occupied: false }),
            ];
            let weight = Reading::Weight { gross_kg, axles_kg: None, stable: true, mode: WeighMode::Static };
            let mut weight = Group::sample(&[(30_000, weight)]);
            weight.track.station = 1;
            let groups = [
                Group::sample(&edges),
                plate(10_100, "A123MP05", View::Front),
                plate(14_900, rear, View::Rear),
                weight,
            ];
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 60_000, &groups, &|_, _| None, &|_, _| 0, &prices);
            let homes = [Home::default(); 4];
            for chosen in [&[0, 1, 2][..], &[3]] {
                let post = chosen.first().and_then(|index| groups.get(*index)).map(|group| &group.track);
                let visits = Visits::of(&groups, chosen, 60_000, &|_, _| 0.0);
                scene.add(post.map_or(0, |track| plan.post_of(track)), visits, &homes);
            }
            scene.ready();
            let terms = scene.terms(&[0, 1], false);
            terms.iter().find(|(term, _)| *term == "class").map_or(0.0, |(_, cost)| *cost)
        };
        let (alike, differ) = ("A123MP05", "AB456705");
        assert!(class(differ, 1_500) > class(alike, 1_500) + 2.0, "a car");
        assert!(class(alike, 38_000) > class(differ, 38_000) + 0.5, "a lorry");
    }

    #[test]
    fn a_badge_is_no_plate() {
        let plan = Plan::with(&[0.0], |_| ReadingKind::Plate);
        let travel = Travel::default();
        let lacking = |text: &str| {
            let read = PlateReading {
                text: text.into(),
                country: None,
                confidence: 0.9,
                view: View::Front,
                candidates: Vec::new(),
            };
            let groups = [Group::sample(&[(10_000, Reading::Plate(read))])];
            let prices = RefCell::default();
            let mut scene = Scene::new(&plan, &travel, 60_000, &groups, &|_, _| None, &|_, _| 0, &prices);
            scene.add(0, Visits::of(&groups, &[0], 60_000, &|_, _| 0.0), &[Home::default()]);
            scene.ready();
            let terms = scene.terms(&[0], false);
            terms.iter().find(|(term, _)| *term == "lacking").map_or(0.0, |(_, cost)| *cost)
        };
        assert!(lacking("SCANIA") > 2.0 && lacking("A123MP05") == 0.0);
    }
}
