//! What one chainlet may use of the machine.

use crate::harness::{Chain, RELAY};

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
