//! Many writes in a row, with maintenance as in production: the last are to be as quick as the first.

use std::time::Duration;

use crate::stage::{Stage, groups, put, ratio, report, timed};

/// Writes whose median is taken at both ends.
const SPAN: usize = 1000;

/// `[WRITES SERVICES]`.
pub(crate) fn run(numbers: &[usize]) {
    let writes = numbers.first().copied().unwrap_or(50_000).max(2);
    let services = numbers.get(1).copied().unwrap_or(1000).max(1);
    let stage = Stage::new(&groups(3), services);
    let before = stage.repository.maintenance();
    let times: Vec<Duration> = (0..writes)
        // Each pass over the services writes another priority, so that every write changes something.
        .map(|n| timed(|| put(&stage.repository, n % services, n / services)))
        .collect();
    let span = SPAN.min(writes / 2);
    let first = report("the first writes", &mut times[..span].to_vec());
    let last = report("the last writes", &mut times[writes - span..].to_vec());
    let after = stage.repository.maintenance();
    let (runs, spent) = (after.runs - before.runs, after.spent - before.spent);
    let seconds = spent.as_secs_f64();
    println!("maintenance: {runs} runs, {seconds:.1} s, {} failed", after.failures);
    println!("left: {} loose objects, {} packs", after.loose_objects, after.packs);
    println!("{writes} writes, last {span} / first {span}: {:.2}", ratio(last, first));
}
