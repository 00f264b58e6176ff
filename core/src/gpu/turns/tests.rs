use futures::FutureExt;

use super::state::{CREDIT, Client, GUESS, RETURN_WAIT, SHORT};
use super::*;

const LONG: Duration = Duration::from_secs(600);

fn seat(turns: &Arc<Turns>, depth: usize) -> Seat {
    turns.join(depth, LONG, || {})
}

fn now(seat: &Seat) -> Option<Turn> {
    seat.turn().now_or_never().flatten()
}

/// Changes the state of a device.
fn has<T>(turns: &Turns, seat: &Seat, change: impl FnOnce(&mut Client) -> T) -> T {
    change(turns.state().seats.get_mut(&seat.number).unwrap())
}

#[test]
fn a_device_alone_has_as_many_turns_as_its_depth() {
    let turns = Turns::new();
    let seat = seat(&turns, 3);
    let held: Vec<_> = (0..3).map(|_| now(&seat).unwrap()).collect();
    assert!(now(&seat).is_none());
    drop(held);
    assert!(now(&seat).is_some());
}

#[test]
fn a_device_alone_hands_over_no_more_than_a_moments_work() {
    let turns = Turns::new();
    let seat = seat(&turns, 1_000);
    let held: Vec<_> = std::iter::from_fn(|| now(&seat)).collect();
    assert_eq!(held.len(), 4, "as many as the guess of 5 ms lets into 20 ms");
}

#[test]
fn a_turn_goes_to_the_device_that_has_used_the_gpu_least() {
    let turns = Turns::new();
    let (heavy, light) = (seat(&turns, 8), seat(&turns, 8));
    has(&turns, &heavy, |client| client.used = Duration::from_secs(1));
    let held = [now(&heavy).unwrap(), now(&heavy).unwrap()];
    let (mut of_light, mut of_heavy) = (Box::pin(light.turn()), Box::pin(heavy.turn()));
    assert!(of_light.as_mut().now_or_never().is_none() && of_heavy.as_mut().now_or_never().is_none());
    drop(held);
    let first = of_light.as_mut().now_or_never();
    assert!(first.is_some(), "the light one is served");
}

#[test]
fn two_devices_have_only_short_work_under_way_at_once() {
    for (usual, at_once) in [(SHORT * 2, false), (SHORT, true)] {
        let turns = Turns::new();
        let seats = [seat(&turns, 8), seat(&turns, 8)];
        for seat in &seats {
            has(&turns, seat, |client| client.usual = usual);
        }
        let held = now(&seats[0]).unwrap();
        let mut second = Box::pin(seats[1].turn());
        assert_eq!(second.as_mut().now_or_never().is_some(), at_once, "{usual:?}");
        drop(held);
    }
}

#[test]
fn a_device_that_was_away_keeps_a_part_of_its_claim() {
    let turns = Turns::new();
    let (away, busy) = (seat(&turns, 1), seat(&turns, 1));
    has(&turns, &busy, |client| client.used = LONG * 1_000);
    drop(now(&busy));
    drop(now(&away));
    let used = has(&turns, &away, |client| client.used);
    assert!(used >= LONG * 1_000 - CREDIT, "{used:?}");
    let late = seat(&turns, 1);
    assert!(has(&turns, &late, |client| client.used) >= LONG * 1_000);
}

#[tokio::test]
async fn long_work_waits_only_for_a_device_that_comes_back_at_once() {
    let turns = Turns::new();
    let (heavy, light) = (seat(&turns, 1), seat(&turns, 1));
    has(&turns, &heavy, |client| {
        client.used = LONG;
        client.usual = LONG * 2;
    });
    let has_ended = |usual_pause| {
        has(&turns, &light, |client| {
            // Far in the future, so that the moment does not pass during the test.
            client.idle_since = Instant::now().checked_add(LONG * 200_000);
            client.usual_pause = usual_pause;
        });
    };
    has_ended(RETURN_WAIT);
    drop(now(&heavy).expect("nobody comes back at once"));
    has_ended(Duration::ZERO);
    let mut waits = Box::pin(heavy.turn());
    assert!(waits.as_mut().now_or_never().is_none(), "the light one is about to come back");
    drop(now(&light).expect("its turn was kept"));
    // The light device may come back again, but does not: the watching thread sees that the moment has passed.
    assert!(waits.await.is_some());
}

#[test]
fn a_caller_that_gives_up_waiting_holds_no_turn() {
    let turns = Turns::new();
    let seat = seat(&turns, 1);
    let held = now(&seat).unwrap();
    assert!(now(&seat).is_none(), "this one has given up");
    drop(held);
    assert!(now(&seat).is_some());
    assert!(turns.state().flying.is_empty());
}

#[test]
fn a_submission_that_takes_too_long_ends_and_is_reported_once() {
    let turns = Turns::new();
    let (told, telling) = std::sync::mpsc::channel();
    let seat = turns.join(1, Duration::from_millis(1), move || told.send(()).unwrap());
    let turn = now(&seat).unwrap();
    telling.recv().unwrap();
    assert!(turn.end().is_none(), "it has ended already");
    assert!(now(&seat).is_some());
}

#[test]
fn a_turn_that_has_ended_counts_as_work_and_a_dropped_one_does_not() {
    let turns = Turns::new();
    let seat = seat(&turns, 2);
    drop(now(&seat));
    let (held, usual, flying) = has(&turns, &seat, |client| (client.used, client.usual, client.flying));
    assert_eq!((usual, flying), (GUESS, 0));
    let time = now(&seat).unwrap().end().unwrap();
    assert_eq!(has(&turns, &seat, |client| (client.used, client.flying)), (held + time, 0));
}

#[test]
fn a_device_that_leaves_with_work_under_way_blocks_nobody() {
    let turns = Turns::new();
    let (leaving, stays) = (seat(&turns, 2), seat(&turns, 1));
    let held = [now(&leaving).unwrap(), now(&leaving).unwrap()];
    drop(leaving);
    let [first, second] = held;
    drop(first);
    assert!(second.end().is_some());
    assert!(now(&stays).is_some());
}
