//! The breaker's state machine, with a clock of its own.

use proptest::prelude::*;

use super::*;

const PAUSE: Duration = Duration::from_secs(2);

fn circuit(failures: u32) -> Circuit {
    let mut settings = config::BreakerPolicy::default();
    (settings.failures, settings.pause) = (failures, PAUSE);
    Circuit::new(settings)
}

fn opened(circuit: &mut Circuit, now: Instant) {
    while circuit.state != (State::Open { until: now + PAUSE }) {
        let admission = circuit.admit(now).unwrap();
        circuit.failed(admission, now);
    }
}

#[test]
fn it_opens_after_so_many_failures_in_a_row_and_not_before() {
    let (mut circuit, now) = (circuit(3), Instant::now());
    for outcome in [false, false, true, false, false] {
        let admission = circuit.admit(now).unwrap();
        let change = if outcome { circuit.succeeded(admission) } else { circuit.failed(admission, now) };
        assert_eq!(change, None);
    }
    let admission = circuit.admit(now).unwrap();
    assert_eq!(circuit.failed(admission, now), Some(Change::Opened));
    assert_eq!(circuit.admit(now), Err(PAUSE));
}

#[test]
fn after_the_pause_one_call_tries_and_decides_for_all() {
    let (mut circuit, now) = (circuit(1), Instant::now());
    opened(&mut circuit, now);
    let later = now + PAUSE;
    assert_eq!(circuit.admit(later), Ok(Admission::Probe));
    assert_eq!(circuit.admit(later), Err(PAUSE));
    assert_eq!(circuit.failed(Admission::Probe, later), None);
    assert_eq!(circuit.admit(later), Err(PAUSE));
    assert_eq!(circuit.admit(later + PAUSE), Ok(Admission::Probe));
    assert_eq!(circuit.succeeded(Admission::Probe), Some(Change::Closed));
    assert_eq!(circuit.admit(later + PAUSE), Ok(Admission::Ordinary));
}

#[test]
fn a_probe_that_was_given_up_leaves_its_place_to_the_next() {
    let (mut circuit, now) = (circuit(1), Instant::now());
    opened(&mut circuit, now);
    let later = now + PAUSE;
    assert_eq!(circuit.admit(later), Ok(Admission::Probe));
    circuit.undecided(Admission::Probe, later);
    assert_eq!(circuit.admit(later), Ok(Admission::Probe));
}

#[test]
fn a_call_from_before_decides_nothing_while_calls_are_refused() {
    let (mut circuit, now) = (circuit(1), Instant::now());
    let before = circuit.admit(now).unwrap();
    opened(&mut circuit, now);
    assert_eq!(circuit.succeeded(before), None);
    assert_eq!(circuit.admit(now), Err(PAUSE));
    assert_eq!(circuit.admit(now + PAUSE), Ok(Admission::Probe));
    assert_eq!(circuit.succeeded(before), None);
    assert_eq!(circuit.admit(now + PAUSE), Err(PAUSE), "the probe is still under way");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask,
    Succeed(usize),
    Fail(usize),
    GiveUp(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        2 => any::<usize>().prop_map(Step::Succeed),
        4 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::GiveUp),
        1 => (0..3_000u64).prop_map(Step::Wait),
    ]
}

#[test]
fn a_probe_that_hangs_keeps_nobody_out_for_longer_than_another_pause() {
    let (mut circuit, now) = (circuit(1), Instant::now());
    opened(&mut circuit, now);
    assert_eq!(circuit.admit(now + PAUSE), Ok(Admission::Probe));
    assert_eq!(circuit.admit(now + PAUSE * 2), Ok(Admission::Probe));
    assert_eq!(circuit.succeeded(Admission::Probe), Some(Change::Closed));
}

proptest! {
    #[test]
    fn one_probe_at_a_time_and_nothing_is_refused_for_longer_than_the_pause(
        failures in 1..5u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut circuit = circuit(failures);
        let mut now = Instant::now();
        let mut flying: Vec<Admission> = Vec::new();
        let mut probed: Option<Instant> = None;
        let mut gave_up = false;
        for step in steps {
            match step {
                Step::Ask => match circuit.admit(now) {
                    Ok(admission) => {
                        if admission == Admission::Probe {
                            let alone = !flying.contains(&Admission::Probe);
                            prop_assert!(alone || gave_up || probed.is_some_and(|at| now >= at + PAUSE));
                            (probed, gave_up) = (Some(now), false);
                        }
                        flying.push(admission);
                    }
                    Err(left) => prop_assert!(left <= PAUSE),
                },
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::Succeed(which) | Step::Fail(which) | Step::GiveUp(which) if !flying.is_empty() => {
                    let admission = flying.swap_remove(which % flying.len());
                    match step {
                        Step::Succeed(_) => circuit.succeeded(admission),
                        Step::Fail(_) => circuit.failed(admission, now),
                        _ => {
                            gave_up |= admission == Admission::Probe;
                            circuit.undecided(admission, now)
                        }
                    };
                }
                _ => {}
            }
        }
        // Whatever happened before, the edge lets calls through again after the pause, when no call is in flight.
        for admission in flying {
            circuit.undecided(admission, now);
        }
        prop_assert!(circuit.admit(now + PAUSE).is_ok());
    }
}
