use super::*;

/// Turns at times that a test chooses, in milliseconds.
struct Times {
    state: State,
    start: Instant,
}

impl Times {
    fn new() -> Self {
        let start = Instant::now();
        Times { state: State::new(start), start }
    }

    fn at(&self, ms: f64) -> Instant {
        self.start + Duration::from_secs_f64(ms / 1_000.0)
    }

    /// Adds a device whose submissions usually take `usual`, each at most `timeout`.
    fn join(&mut self, usual: f64, timeout: f64) -> u64 {
        let seat = self.state.join(8, ms(timeout), Arc::new(|| {}));
        self.client(seat).usual = ms(usual);
        seat
    }

    fn client(&mut self, seat: u64) -> &mut Client {
        self.state.seats.get_mut(&seat).unwrap()
    }

    fn ask(&mut self, seat: u64, at: f64) {
        let at = self.at(at);
        self.state.ask(seat, oneshot::channel().0, at);
    }

    /// Begins the next turn, if one may begin. Returns its number and its device.
    fn next(&mut self, at: f64) -> Option<(u64, u64)> {
        let at = self.at(at);
        let (number, _) = self.state.next_turn(at)?;
        Some((number, self.state.flying.last().unwrap().seat))
    }

    /// Begins a turn, which must be possible at once.
    fn turn(&mut self, seat: u64, at: f64) -> u64 {
        self.ask(seat, at);
        let (number, of) = self.next(at).unwrap();
        assert_eq!(of, seat);
        number
    }

    fn end(&mut self, number: u64, at: f64) -> Option<f64> {
        let at = self.at(at);
        self.state.end(number, at).map(as_ms)
    }

    fn give_back(&mut self, number: u64, at: f64) {
        let at = self.at(at);
        self.state.give_back(number, at);
    }

    fn give_up(&mut self, at: f64) {
        let at = self.at(at);
        self.state.give_up(at);
    }

    fn end_given_up(&mut self, at: f64) {
        let at = self.at(at);
        self.state.end_given_up(at);
    }

    /// Returns the number of the submission that the GPU is at, and its deadline.
    fn deadline(&self) -> (u64, f64) {
        let (at, number, _) = self.state.deadline().unwrap();
        (number, as_ms(at - self.start))
    }

    fn used(&mut self, seat: u64) -> f64 {
        as_ms(self.client(seat).used)
    }
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1_000.0)
}

/// Returns milliseconds, rounded to microseconds so that they can be compared.
fn as_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[test]
fn turns_given_back_behind_work_cost_nothing_and_move_no_deadline() {
    let mut times = Times::new();
    let seat = times.join(1.0, 1_000.0);
    let endless = times.turn(seat, 10.0);
    for at in 11..1_000 {
        let failed = times.turn(seat, at.into());
        times.give_back(failed, f64::from(at) + 0.5);
        assert_eq!(times.deadline(), (endless, 1_010.0));
    }
    assert_eq!((times.used(seat), times.client(seat).usual, times.state.clock), (0.0, ms(1.0), Duration::ZERO));
    assert_eq!(times.end(endless, 1_000.0), Some(990.0), "all of its time");
    assert_eq!(times.used(seat), 990.0);
}

#[test]
fn a_turn_given_back_costs_the_time_for_which_it_kept_the_gpu() {
    let mut times = Times::new();
    let seat = times.join(1.0, 1_000.0);
    let failed = times.turn(seat, 10.0);
    times.give_back(failed, 13.0);
    assert_eq!((times.used(seat), times.client(seat).usual), (3.0, ms(1.0)));
}

#[test]
fn a_turn_given_back_does_not_change_the_time_of_later_turns() {
    let mut times = Times::new();
    let seat = times.join(1.0, 1_000.0);
    let (failed, after) = (times.turn(seat, 0.0), times.turn(seat, 1.0));
    times.give_back(failed, 500.0);
    assert_eq!(times.deadline(), (after, 1_001.0));
    assert_eq!(times.end(after, 501.0), Some(500.0));
}

#[test]
fn work_done_at_once_is_billed_once_and_moves_no_deadline() {
    let mut times = Times::new();
    let (bad, good) = (times.join(1.0, 1_000.0), times.join(1.0, 1_000.0));
    let endless = times.turn(bad, 0.0);
    for at in 0..999 {
        let short = times.turn(good, at.into());
        assert_eq!(times.end(short, f64::from(at) + 1.0), Some(0.5));
        assert_eq!(times.deadline(), (endless, 1_000.0));
    }
    assert_eq!(times.end(endless, 1_000.0), Some(1_000.0 - 999.0 / 2.0));
    assert_eq!(times.used(bad) + times.used(good), 1_000.0);
}

#[test]
fn a_deadline_runs_from_the_end_of_what_came_before() {
    let mut times = Times::new();
    let (patient, hasty) = (times.join(1.0, 1_000.0), times.join(1.0, 10.0));
    let first = times.turn(patient, 0.0);
    let second = times.turn(hasty, 1.0);
    assert_eq!(times.deadline(), (first, 1_000.0), "the hasty one cannot have begun");
    assert_eq!(times.end(first, 500.0), Some(500.0));
    assert_eq!(times.deadline(), (second, 510.0));
    assert_eq!(times.end(second, 501.0), Some(1.0));
    assert_eq!(times.end(second, 502.0), None, "only once");
    assert!(times.state.deadline().is_none());
}

#[test]
fn the_time_that_went_by_is_billed_in_whatever_order_work_ends() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut times = Times::new();
        let seat = times.join(1.0, 1_000.0);
        let turns = [0.0, 1.0, 2.0].map(|at| times.turn(seat, at));
        let billed = [(order[0], 3.0), (order[1], 5.0), (order[2], 7.0)].map(|(which, at)| times.end(turns[which], at));
        assert_eq!(billed.into_iter().flatten().sum::<f64>(), 7.0, "{order:?}: {billed:?}");
        assert_eq!(times.used(seat), 7.0, "{order:?}");
    }
}

#[test]
fn work_without_a_pause_is_billed_as_the_time_that_went_by() {
    // In the first case, a device is alone and has more than two submissions under way.
    for (devices, asked) in [(1, 5), (2, 1), (2, 5)] {
        let mut times = Times::new();
        let seats: Vec<_> = (0..devices).map(|_| times.join(1.0, 1_000.0)).collect();
        for seat in &seats {
            (0..asked).for_each(|_| times.ask(*seat, 0.0));
        }
        let mut under_way = VecDeque::new();
        for at in 0..1_000 {
            under_way.extend(std::iter::from_fn(|| times.next(at.into())));
            let (number, seat) = under_way.pop_front().unwrap();
            assert_eq!(times.end(number, f64::from(at) + 1.0), Some(1.0));
            times.ask(seat, f64::from(at) + 1.0);
        }
        for seat in seats {
            assert_eq!(times.used(seat), 1_000.0 / f64::from(devices), "{devices} with {asked}");
        }
    }
}

/// Returns the state after a light device has had a turn until 0.1 ms. The GPU is kept for it from 1 ms on, because a
/// heavy device waits.
fn kept() -> (Times, u64, u64) {
    let mut times = Times::new();
    let (heavy, light) = (times.join(50.0, 1_000.0), times.join(0.1, 1_000.0));
    times.client(heavy).used = ms(1_000.0);
    let turn = times.turn(light, 0.0);
    times.end(turn, 0.1);
    times.ask(heavy, 1.0);
    assert!(times.next(1.0).is_none());
    (times, heavy, light)
}

#[test]
fn a_device_is_billed_for_the_time_for_which_the_gpu_was_kept_for_it() {
    let (mut times, _, light) = kept();
    times.ask(light, 1.5);
    assert_eq!(times.next(1.5).unwrap().1, light);
    assert_eq!(times.used(light), 0.6, "it came back");

    let (mut times, heavy, light) = kept();
    assert!(times.next(2.0).is_none(), "asked in between");
    assert_eq!(times.next(9.0).unwrap().1, heavy);
    assert_eq!(times.used(light), 1.2, "it did not, and the GPU was kept until 2.1 ms");
}

#[test]
fn leaving_while_the_gpu_is_kept_gives_no_better_claim() {
    let (mut times, heavy, light) = kept();
    let at = times.at(2.0);
    times.state.leave(light, at).unwrap();
    let fresh = times.join(0.1, 1_000.0);
    assert_eq!(times.used(fresh), 1.1);
    assert_eq!(times.next(2.0).unwrap().1, heavy);
}

#[test]
fn a_heavy_device_gets_half_of_the_time_beside_a_light_one_that_pauses() {
    let shares = [0.5, 1.0, 1.5, 1.9].map(|pause| {
        let mut times = Times::new();
        let (heavy, light) = (times.join(50.0, 1_000.0), times.join(0.1, 1_000.0));
        times.ask(heavy, 0.0);
        times.ask(light, 0.0);
        let (mut at, mut of_heavy, mut comes_back) = (0.0, 0.0, f64::INFINITY);
        while at < 10_000.0 {
            let turn = times.next(at);
            let until = match turn {
                Some((_, seat)) if seat == heavy => at + 50.0,
                Some(_) => at + 0.1,
                None => comes_back.min(as_ms(times.state.kept_until().unwrap() - times.start)),
            };
            if comes_back <= until {
                times.ask(light, comes_back);
                comes_back = f64::INFINITY;
            }
            if let Some((number, seat)) = turn {
                times.end(number, until);
                if seat == heavy {
                    of_heavy += 50.0;
                    times.ask(heavy, until);
                } else {
                    comes_back = until + pause;
                }
            }
            at = until;
        }
        of_heavy / at
    });
    assert!(shares.iter().all(|share| (0.48..0.52).contains(share)), "{shares:?}");
}

#[test]
fn work_of_a_device_that_left_ends_at_its_deadline_and_tells_nobody() {
    let mut times = Times::new();
    let (leaving, stays) = (times.join(5.0, 1_000.0), times.join(5.0, 1_000.0));
    let left = times.turn(leaving, 0.0);
    let at = times.at(1.0);
    times.state.leave(leaving, at);
    times.ask(stays, 1.0);
    let (number, seat) = times.next(1.0).unwrap();
    assert_eq!(seat, stays);
    let (_, first, late) = times.state.deadline().unwrap();
    assert!(first == left && late.is_none());
    assert_eq!(times.end(left, 1_000.0), Some(1_000.0));
    assert_eq!(times.end(number, 1_001.0), Some(1.0));
}

#[test]
fn work_behind_work_that_was_given_up_has_its_full_time_afterwards() {
    let mut times = Times::new();
    let seat = times.join(1.0, 1_000.0);
    times.give_up(0.0);
    times.give_up(50.0);
    let behind = times.turn(seat, 100.0);
    assert_eq!(times.deadline(), (behind, 11_000.0), "ten times its timeout, and then its own time");
    times.end_given_up(3_000.0);
    assert_eq!(times.deadline(), (behind, 11_000.0), "the GPU is still at work for one device");
    times.end_given_up(4_000.0);
    assert_eq!(times.deadline(), (behind, 5_000.0));
    assert_eq!(times.end(behind, 4_300.0), Some(300.0));
}

#[test]
fn a_gpu_that_hangs_is_waited_for_once_and_not_by_each_device() {
    let mut times = Times::new();
    let seat = times.join(1.0, 1_000.0);
    times.give_up(0.0);
    let late = times.turn(seat, 20_000.0);
    assert_eq!(times.deadline(), (late, 21_000.0));
}

#[test]
fn time_behind_work_that_was_given_up_is_billed_to_nobody_else() {
    let mut times = Times::new();
    let seat = times.join(2.0, 1_000.0);
    times.give_up(0.0);
    let behind = times.turn(seat, 100.0);
    assert_eq!(times.end(behind, 5_000.0), None, "nobody knows how long the GPU was at it");
    assert_eq!((times.used(seat), times.client(seat).usual), (2.0, ms(2.0)));
}
