//! Tests of the number of replicas, with a clock of their own.

use proptest::prelude::*;

use super::*;

const CONCURRENCY: usize = 10;

/// A chainlet whose replicas are ready as soon as they are wanted.
struct Chainlet {
    scale: Scale,
    now: Instant,
    wanted: u32,
}

impl Chainlet {
    fn new(min: u32, max: u32) -> Self {
        let bounds = Replicas::between(min, max);
        Chainlet { scale: Scale::new(bounds, CONCURRENCY), now: Instant::now(), wanted: min }
    }

    /// Keeps `demand` calls under way for `time`, and returns the number of replicas wanted then.
    fn during(&mut self, time: Duration, demand: usize) -> u32 {
        let end = self.now + time;
        while self.now < end {
            self.now += self.scale.interval();
            let ready = self.wanted as usize;
            let active = demand.min(ready * CONCURRENCY);
            let load = Load { active, waiting: demand - active, ready, used: demand > 0 };
            self.wanted = self.scale.look(load, self.wanted, self.now);
        }
        self.wanted
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn there_are_enough_replicas_to_keep_each_at_its_target() {
    let mut chainlet = Chainlet::new(1, 10);
    assert_eq!(chainlet.during(seconds(5), 7), 1);
    assert_eq!(chainlet.during(seconds(5), 8), 2);
    assert_eq!(chainlet.during(seconds(5), 35), 5);
    assert_eq!(chainlet.during(seconds(5), 1_000), 10);
}

#[test]
fn a_burst_for_which_no_call_waits_starts_no_replica() {
    let mut chainlet = Chainlet::new(1, 10);
    assert_eq!(chainlet.during(Duration::from_millis(300), 10), 1);
    assert_eq!(chainlet.during(seconds(5), 0), 1);
}

#[test]
fn waiting_calls_start_one_replica_at_once_and_wait_until_it_is_ready() {
    let mut scale = Scale::new(Replicas::between(0, 10), CONCURRENCY);
    let now = Instant::now();
    let load = Load { active: 0, waiting: 1, ready: 0, used: true };
    assert_eq!(scale.look(load, 0, now), 1);
    let waits = scale.look(load, 1, now + Duration::from_millis(100));
    assert_eq!(waits, 1, "it is on its way");
}

#[test]
fn replicas_stop_only_after_fewer_have_sufficed_for_a_while() {
    let mut chainlet = Chainlet::new(1, 10);
    assert_eq!(chainlet.during(seconds(5), 35), 5);
    assert_eq!(chainlet.during(seconds(55), 0), 5);
    assert_eq!(chainlet.during(seconds(10), 0), 1);
}

#[test]
fn without_calls_a_chainlet_with_min_0_scales_to_zero() {
    let mut chainlet = Chainlet::new(0, 2);
    assert_eq!(chainlet.during(seconds(2), 1), 1);
    assert_eq!(chainlet.during(seconds(70), 0), 0);
    assert_eq!(chainlet.during(Duration::from_millis(100), 1), 1);
}

#[test]
fn calls_too_short_to_be_seen_keep_a_replica() {
    let mut scale = Scale::new(Replicas::between(0, 2), CONCURRENCY);
    let now = Instant::now();
    let look = |scale: &mut Scale, second: u64, used: bool| {
        scale.look(Load { active: 0, waiting: 0, ready: 1, used }, 1, now + seconds(second))
    };
    for second in 0..200 {
        assert_eq!(look(&mut scale, second, second % 50 == 0), 1, "at {second} s");
    }
    assert_eq!(look(&mut scale, 300, false), 0);
}

proptest! {
    #[test]
    fn bounds_hold_and_a_load_that_stays_is_served(
        min in 0..4u32,
        more in 0..8u32,
        loads in prop::collection::vec((0..120usize, 1..100u64), 1..20),
    ) {
        let max = (min + more).max(1);
        let mut chainlet = Chainlet::new(min, max);
        for (demand, time) in loads {
            let wanted = chainlet.during(seconds(time), demand);
            prop_assert!((min..=max).contains(&wanted));
            if time > 2 {
                let enough = demand.div_ceil(7) as u32;
                prop_assert!(wanted >= enough.min(max), "{wanted} for {demand}");
            }
            if time > 65 {
                let enough = demand.div_ceil(7) as u32;
                prop_assert!(wanted <= enough.clamp(min, max), "{wanted} for {demand}");
            }
        }
    }
}
