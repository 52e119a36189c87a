//! What a lane has learned, laid out by post for one look at it.

use interface::ReadingKind;

use crate::length_class;
use crate::plan::Plan;
use crate::travel::{Travel, Way};

/// What is to be expected of vehicles and sensors at each post.
#[derive(Debug)]
pub(crate) struct Learned {
    /// Kinds that each post reports, and what it costs to have been missed by them.
    pub expected: Vec<Vec<(ReadingKind, f64)>>,
    /// What it costs that a plate was read at a post, but not from the front, or not from the rear.
    pub views: Vec<[f64; 2]>,
    /// What it costs to have been missed by all posts before each, and by all.
    pub unseen_before: Vec<f64>,
    /// What the way from each post to each later one usually takes, from loop to anything and from anything else.
    pub ways: Vec<[Way; 2]>,
    /// How long cars and lorries are over each loop.
    pub classes: length_class::Table,
}

impl Learned {
    pub fn of(plan: &Plan, travel: &Travel) -> Self {
        let posts = plan.posts();
        let missed =
            |post: usize| plan.kinds_of_post(post).map(move |kind| (kind, travel.missed(post, kind)));
        let expected: Vec<Vec<(ReadingKind, f64)>> = (0..posts).map(|post| missed(post).collect()).collect();
        let mut unseen_before = vec![0.0];
        let mut sum = 0.0;
        for kinds in &expected {
            sum += kinds.iter().map(|(_, cost)| cost).sum::<f64>();
            unseen_before.push(sum);
        }
        let pairs = (0..posts).flat_map(|from| (0..posts).map(move |to| (from, to)));
        let ways = pairs.map(|(from, to)| {
            let metres = (plan.post_m(to) - plan.post_m(from)).abs();
            let looped = plan.fitted(Plan::station_of(to), ReadingKind::Presence);
            [travel.way(from, to, metres, false, false), travel.way(from, to, metres, true, looped)]
        });
        Self {
            views: (0..posts).map(|post| travel.missed_views(post)).collect(),
            unseen_before,
            ways: ways.collect(),
            classes: travel.classes.table(posts),
            expected,
        }
    }
}
