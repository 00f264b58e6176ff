//! What one chainlet may use of the machine.

use std::time::Instant;

use crate::harness::{Chain, FAULTY, RELAY, Served};

/// The processor time that the process has used, in seconds.
fn processor_time(served: &Served) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.id())).unwrap();
    let (_, after_the_name) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = after_the_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[tokio::test]
async fn half_a_processor_is_no_more_than_half_of_one() {
    for sync in ["", "_sync"] {
        let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&format!("{text}resources = {{ cpu = 0.5 }}\n")).serve();
        let (start, before) = (Instant::now(), processor_time(&served));
        served.ask("spin:2000").await;
        let share = (processor_time(&served) - before) / start.elapsed().as_secs_f64();
        // What the host itself does is in it, too; a whole processor would be 1.
        assert!(share < 0.6, "{share} of a processor");
    }
}

#[tokio::test]
async fn a_chainlet_gets_no_more_of_a_processor_than_its_share() {
    let served = Chain::new(&format!("{RELAY}resources = {{ cpu = 0.1 }}\n")).serve();
    // Side by side, so that whatever else the machine does meets both.
    let (whole, tenth) = tokio::join!(served.public.tell("count:3000"), served.public.tell("other:count:3000"));
    let [whole, tenth] = [whole, tenth].map(|reply| reply.said().parse::<u64>().unwrap());
    assert!(tenth > 0 && tenth * 3 < whole, "a tenth of a processor got {tenth} rounds done, a whole one {whole}");
}

#[tokio::test]
async fn a_chainlet_at_rest_keeps_its_share_and_answers() {
    let served = Chain::new(&format!("{RELAY}resources = {{ cpu = 0.5 }}\n")).serve();
    for number in 0..20 {
        assert_eq!(served.ask(&format!("other:echo:{number}")).await, number.to_string());
    }
}
