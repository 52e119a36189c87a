//! Aligning the groups of one track with the passages of a lane, in order: both are in driving order, so the cheapest
//! pairing that never crosses is found by dynamic programming, and beside it what every other pairing would have cost.

/// Stands for "cannot be". Finite, so that the tables stay numbers when nothing fits.
pub(crate) const IMPOSSIBLE: f64 = 1e6;
/// More than any sum of costs: what nobody has reached yet.
const NEVER: f64 = 1e12;

/// What the pairings of one track cost. Groups and passages are numbered in driving order.
#[derive(Debug)]
pub(crate) struct Costs {
    /// For each group: what it costs to belong to each passage.
    pub pair: Vec<Vec<f64>>,
    /// For each group: what it costs to belong to nobody.
    pub ghost: Vec<f64>,
    /// For each group: what it costs to belong to the same passage as the group before it.
    pub repeat: Vec<f64>,
    /// For each passage: what it costs to have no group although a later passage has one.
    pub missed: Vec<f64>,
    /// For each passage: what it costs to have no group yet.
    pub pending: Vec<f64>,
}

/// For one group: the least total cost if it belongs to each passage, and if it belongs to nobody.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub with: Vec<f64>,
    pub ghost: f64,
}

/// A table that answers "never" outside its bounds.
struct Table {
    columns: usize,
    cells: Vec<f64>,
}

impl Table {
    fn new(rows: usize, columns: usize) -> Self {
        Self { columns, cells: vec![NEVER; rows * columns] }
    }

    fn get(&self, row: usize, column: usize) -> f64 {
        if column >= self.columns {
            return NEVER;
        }
        self.cells.get(row * self.columns + column).copied().unwrap_or(NEVER)
    }

    fn lower(&mut self, row: usize, column: usize, cost: f64) {
        if let Some(cell) = self.cells.get_mut(row * self.columns + column) {
            *cell = cell.min(cost);
        }
    }
}

/// The least total cost through every pairing. Work and memory: groups times passages.
///
/// Two tables are kept each way. `fresh(i, j)`: groups before `j` are placed, the next one may go to passage `i`, which has
/// none yet. `taken(i, j)`: the same, and passage `i` has at least one.
pub(crate) fn align(costs: &Costs) -> Vec<Choice> {
    let passages = costs.missed.len();
    let groups = costs.ghost.len();
    let pair = |j: usize, i: usize| at(costs.pair.get(j).map_or(&[][..], Vec::as_slice), i);

    let (mut fresh, mut taken) = (Table::new(passages + 1, groups + 1), Table::new(passages + 1, groups + 1));
    fresh.lower(0, 0, 0.0);
    for i in 0..=passages {
        for j in 0..=groups {
            let (f, t) = (fresh.get(i, j), taken.get(i, j));
            if j < groups {
                let ghost = at(&costs.ghost, j);
                fresh.lower(i, j + 1, f + ghost);
                taken.lower(i, j + 1, t + ghost);
                taken.lower(i, j + 1, f.min(t + at(&costs.repeat, j)) + pair(j, i));
            }
            if i < passages {
                fresh.lower(i + 1, j, t.min(f + at(&costs.missed, i)));
            }
        }
    }

    let (mut fresh_on, mut taken_on) =
        (Table::new(passages + 1, groups + 1), Table::new(passages + 1, groups + 1));
    let mut open = 0.0;
    for i in (0..=passages).rev() {
        taken_on.lower(i, groups, open);
        open += if i < passages { at(&costs.pending, i) } else { 0.0 };
        fresh_on.lower(i, groups, open);
        for j in (0..=groups).rev() {
            if j < groups {
                let ghost = at(&costs.ghost, j);
                fresh_on.lower(i, j, ghost + fresh_on.get(i, j + 1));
                taken_on.lower(i, j, ghost + taken_on.get(i, j + 1));
                let on = pair(j, i) + taken_on.get(i, j + 1);
                fresh_on.lower(i, j, on);
                taken_on.lower(i, j, on + at(&costs.repeat, j));
            }
            if i < passages {
                fresh_on.lower(i, j, at(&costs.missed, i) + fresh_on.get(i + 1, j));
                taken_on.lower(i, j, fresh_on.get(i + 1, j));
            }
        }
    }

    (0..groups)
        .map(|j| {
            let into = |i: usize| fresh.get(i, j).min(taken.get(i, j) + at(&costs.repeat, j));
            let with = (0..passages).map(|i| into(i) + pair(j, i) + taken_on.get(i, j + 1)).collect();
            let through = |i: usize| {
                (fresh.get(i, j) + fresh_on.get(i, j + 1)).min(taken.get(i, j) + taken_on.get(i, j + 1))
            };
            let ghost = (0..=passages).map(through).fold(NEVER, f64::min) + at(&costs.ghost, j);
            Choice { with, ghost }
        })
        .collect()
}

fn at(costs: &[f64], index: usize) -> f64 {
    costs.get(index).copied().unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every pairing that does not cross, by trying all.
    fn all(
        costs: &Costs,
        j: usize,
        from: usize,
        taken: bool,
        owners: &mut Vec<Option<usize>>,
        found: &mut Vec<(f64, Vec<Option<usize>>)>,
        cost: f64,
    ) {
        let passages = costs.missed.len();
        if j == costs.ghost.len() {
            let open: f64 = costs.pending.iter().skip(if taken { from + 1 } else { from }).sum();
            found.push((cost + open, owners.clone()));
            return;
        }
        owners.push(None);
        all(costs, j + 1, from, taken, owners, found, cost + costs.ghost[j]);
        owners.pop();
        for i in from..passages {
            let mut step = costs.pair[j][i];
            if i == from && taken {
                step += costs.repeat[j];
            } else {
                step += costs.missed[if taken { from + 1 } else { from }..i].iter().sum::<f64>();
            }
            owners.push(Some(i));
            all(costs, j + 1, i, true, owners, found, cost + step);
            owners.pop();
        }
    }

    prop_compose! {
        fn some_costs()(passages in 0usize..4, groups in 0usize..4)(
            pair in prop::collection::vec(prop::collection::vec(-4.0..9.0, passages), groups),
            ghost in prop::collection::vec(2.0..9.0, groups),
            repeat in prop::collection::vec(0.0..6.0, groups),
            missed in prop::collection::vec(1.0..5.0, passages),
        ) -> Costs {
            // A pending passage never costs more than a missed one.
            let pending = missed.iter().map(|missed| missed * 0.5).collect();
            Costs { pair, ghost, repeat, missed, pending }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_pairing(costs in some_costs()) {
            let mut found = Vec::new();
            all(&costs, 0, 0, false, &mut Vec::new(), &mut found, 0.0);
            for (j, choice) in align(&costs).iter().enumerate() {
                let best = |owner: Option<usize>| {
                    found.iter().filter(|(_, owners)| owners[j] == owner).map(|(cost, _)| *cost).fold(IMPOSSIBLE, f64::min)
                };
                prop_assert!((choice.ghost - best(None)).abs() < 1e-6);
                for (i, with) in choice.with.iter().enumerate() {
                    prop_assert!((with - best(Some(i))).abs() < 1e-6, "group {} passage {}", j, i);
                }
            }
        }
    }
}
