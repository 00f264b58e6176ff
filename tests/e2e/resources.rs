//! The part of a processor that one chainlet may use.

use std::time::Instant;

use crate::harness::{Chain, FAULTY, RELAY, Served};

/// Returns the processor time that the process has used, in seconds.
fn processor_time(served: &Served) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.id())).unwrap();
    let (_, after_the_name) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = after_the_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[tokio::test]
async fn a_chainlet_gets_no_more_of_a_processor_than_its_share() {
    for (sync, cpu) in [("", 0.1), ("", 0.5), ("_sync", 0.1), ("_sync", 0.5)] {
        let text = FAULTY.replace("<guest_faulty>", &format!("<guest_faulty{sync}>"));
        let served = Chain::new(&format!("{text}resources = {{ cpu = {cpu} }}\n")).serve();
        let (start, before) = (Instant::now(), processor_time(&served));
        served.ask("spin:2000").await;
        let share = (processor_time(&served) - before) / start.elapsed().as_secs_f64();
        // The measured time also contains the host's own work. Without a limit, the guest would use a whole processor.
        assert!(share < cpu + 0.1, "the chainlet got {share} of a processor, and may have {cpu}");
    }
}

#[tokio::test]
async fn a_chainlet_with_little_work_answers_within_its_share() {
    let served = Chain::new(&format!("{RELAY}resources = {{ cpu = 0.5 }}\n")).serve();
    for number in 0..20 {
        assert_eq!(served.ask(&format!("other:echo:{number}")).await, number.to_string());
    }
}
