//! Tests of the driver, without any guest.

use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::thread::ThreadId;

use super::*;

/// Work that records the thread of each poll, and never ends.
fn noting(polls: &Arc<Mutex<Vec<ThreadId>>>) -> impl Future<Output = ()> + Send + 'static {
    let polls = polls.clone();
    poll_fn(move |_| {
        polls.lock().unwrap().push(std::thread::current().id());
        Poll::Pending
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Returns after the task of `driver` has polled for the first time.
async fn first_turn<T: Send + 'static>(driver: &Arc<Driver<T>>) {
    while driver.polls() == 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_nudge_drives_the_work_on_the_thread_that_nudges() {
    let runtime = runtime();
    let polls = Arc::default();
    let driver = runtime.block_on(async {
        let driver = Driver::new(1.0);
        tokio::spawn(driver.run(noting(&polls)));
        first_turn(&driver).await;
        driver
    });
    // The task's first poll may still be under way; then the nudge leaves the work to the task.
    while polls.lock().unwrap().last() != Some(&std::thread::current().id()) {
        driver.nudge();
    }
}

#[test]
fn the_first_turn_is_left_to_the_task() {
    let runtime = runtime();
    let polls = Arc::default();
    let driver = Driver::new(1.0);
    let driven = {
        let _runtime = runtime.enter();
        driver.run(noting(&polls))
    };
    driver.nudge();
    assert_eq!(driver.polls(), 0);
    runtime.block_on(async {
        let task = tokio::spawn(driven);
        first_turn(&driver).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_ne!(polls.lock().unwrap().first(), Some(&std::thread::current().id()));
}

#[test]
fn timers_of_the_work_belong_to_the_runtime_of_its_task() {
    let runtime = runtime();
    let slept = Arc::new(AtomicBool::new(false));
    let nudged = Arc::new(AtomicBool::new(false));
    let (driver, task) = runtime.block_on(async {
        let driver = Driver::new(1.0);
        let (slept, nudged) = (slept.clone(), nudged.clone());
        let task = tokio::spawn(driver.run(async move {
            poll_fn(|_| if nudged.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            slept.store(true, Ordering::SeqCst);
        }));
        first_turn(&driver).await;
        (driver, task)
    });
    nudged.store(true, Ordering::SeqCst);
    // This thread belongs to no runtime, so a timer could not be made in it.
    driver.nudge();
    runtime.block_on(task).unwrap().unwrap();
    assert!(slept.load(Ordering::SeqCst));
}

#[test]
fn no_nudge_is_lost_however_many_threads_nudge() {
    const THREADS: u64 = 4;
    const NUDGES: u64 = 5_000;
    let runtime = runtime();
    let (asked, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (driver, task) = runtime.block_on(async {
        let driver = Driver::new(1.0);
        let (asked, done) = (asked.clone(), done.clone());
        let task = tokio::spawn(driver.run(poll_fn(move |_| {
            let seen = asked.load(Ordering::SeqCst);
            done.store(seen, Ordering::SeqCst);
            if seen == THREADS * NUDGES { Poll::Ready(()) } else { Poll::Pending }
        })));
        (driver, task)
    });
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..NUDGES {
                    asked.fetch_add(1, Ordering::SeqCst);
                    driver.nudge();
                }
            });
        }
    });
    // The work ends only with the last nudge, so this hangs if a nudge is lost.
    runtime.block_on(task).unwrap().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), THREADS * NUDGES);
}

#[test]
fn work_that_wakes_itself_goes_on_in_its_task() {
    let runtime = runtime();
    let outcome = runtime.block_on(async {
        let mut polls = 0;
        let driver = Driver::new(1.0);
        tokio::spawn(driver.run(poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 1_000 { Poll::Ready(polls) } else { Poll::Pending }
        })))
        .await
    });
    assert_eq!(outcome.unwrap().unwrap(), 1_000);
}

#[test]
fn work_whose_turns_are_long_is_left_to_its_task() {
    let runtime = runtime();
    let polls: Arc<Mutex<Vec<ThreadId>>> = Arc::default();
    let driver = runtime.block_on(async {
        let (driver, polls) = (Driver::new(1.0), polls.clone());
        tokio::spawn(driver.run(poll_fn(move |_| {
            polls.lock().unwrap().push(std::thread::current().id());
            let start = Instant::now();
            while start.elapsed() < 10 * CALLER_LIMIT {}
            Poll::<()>::Pending
        })));
        driver
    });
    let here = std::thread::current().id();
    let of_the_task = |polls: &[ThreadId]| polls.iter().rev().take_while(|thread| **thread != here).count();
    // Ten nudges in a row that all leave the work to the task cannot be chance.
    while of_the_task(&polls.lock().unwrap()) < 10 {
        let before = driver.polls();
        driver.nudge();
        while driver.polls() == before {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_panic_of_the_work_is_its_outcome_and_does_not_hit_the_driver() {
    let runtime = runtime();
    let fail = Arc::new(AtomicBool::new(false));
    let (driver, task) = runtime.block_on(async {
        let (driver, fail) = (Driver::new(1.0), fail.clone());
        let task = tokio::spawn(driver.run(poll_fn(move |_| {
            if fail.load(Ordering::SeqCst) {
                panic!("for once");
            }
            Poll::<()>::Pending
        })));
        first_turn(&driver).await;
        (driver, task)
    });
    fail.store(true, Ordering::SeqCst);
    driver.nudge();
    let Panicked(message) = runtime.block_on(task).unwrap().unwrap_err();
    assert_eq!(message, "for once");
    driver.nudge();
}

#[test]
fn the_end_of_the_task_is_the_end_of_the_work() {
    let runtime = runtime();
    let held = Arc::new(());
    let (driver, task) = runtime.block_on(async {
        let (driver, held) = (Driver::new(1.0), held.clone());
        let task = tokio::spawn(driver.run(async move {
            std::future::pending::<()>().await;
            drop(held);
        }));
        (driver, task)
    });
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&held), 1);
    driver.nudge();
}
