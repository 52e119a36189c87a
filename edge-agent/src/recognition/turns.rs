//! Whose turn it is: several workers serve all cameras, the one that was served least recently first.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things that are served in turn by several threads, each thing by one thread at a time.
#[derive(Debug)]
pub(super) struct Turns<T> {
    seats: Mutex<Seats<T>>,
}

#[derive(Debug)]
struct Seats<T> {
    /// Rises with each service.
    services: u64,
    /// Each thing, unless it is being served, and when it was served last.
    seats: Vec<(Option<T>, u64)>,
}

impl<T> Turns<T> {
    pub fn new(things: impl IntoIterator<Item = T>) -> Self {
        let seats = things.into_iter().map(|thing| (Some(thing), 0)).collect();
        Self { seats: Mutex::new(Seats { services: 0, seats }) }
    }

    /// Takes, of those that want it, the thing that was served least recently; with its seat.
    pub fn take(&self, wants: impl Fn(&T) -> bool) -> Option<(usize, T)> {
        let mut seats = self.lock();
        let ready = seats.seats.iter().enumerate();
        let ready = ready.filter(|(_, (thing, _))| thing.as_ref().is_some_and(&wants));
        let (index, _) = ready.min_by_key(|(_, (_, served))| *served)?;
        let (thing, _) = seats.seats.get_mut(index)?;
        thing.take().map(|thing| (index, thing))
    }

    /// Gives a thing back to its seat. `served` is whether it had what it wanted.
    pub fn give_back(&self, seat: usize, thing: T, served: bool) {
        let mut seats = self.lock();
        if served {
            seats.services += 1;
        }
        let services = seats.services;
        if let Some((place, when)) = seats.seats.get_mut(seat) {
            *place = Some(thing);
            if served {
                *when = services;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats<T>> {
        // A seat is changed as a whole, so a thread that panicked while it held the lock left nothing half done.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_waited_longest_is_next_whoever_is_quicker() {
        let turns = Turns::new(["a", "b", "c"]);
        let mut order = String::new();
        // "a" always wants a turn, "b" and "c" only every second time.
        for round in 0..8 {
            let (seat, thing) = turns.take(|thing| *thing == "a" || round % 2 == 0).unwrap();
            order.push_str(thing);
            turns.give_back(seat, thing, true);
        }
        assert_eq!(order, "aabacaba");
    }

    #[test]
    fn nobody_is_served_by_two_at_a_time_and_an_empty_look_costs_no_turn() {
        let turns = Turns::new(["a", "b"]);
        let (a, _) = turns.take(|_| true).unwrap();
        let (b, thing) = turns.take(|_| true).unwrap();
        assert_eq!((a, b), (0, 1));
        assert!(turns.take(|_| true).is_none());
        turns.give_back(b, thing, false);
        turns.give_back(a, "a", true);
        assert_eq!(turns.take(|_| true).unwrap().0, 1);
    }
}
