//! The dry run of one changed route, which costs what it touches and not what there is.

use std::time::Duration;

use refgate_core::change::Operation;
use refgate_core::name::GroupName;
use refgate_core::repository::Repository;
use serde_json::json;

use crate::TIMES;
use crate::stage::{Stage, change, groups, ratio, report, service, timed};

/// `[SERVICES MORE]`: a group of so many, and one of more.
pub(crate) fn run(numbers: &[usize]) {
    let few = numbers.first().copied().unwrap_or(1000).max(1);
    let many = numbers.get(1).copied().unwrap_or(10_000).max(1);
    let [small, large] = [few, many].map(|services| {
        let groups = groups(1);
        let stage = Stage::new(&groups, services);
        one_change(&stage.repository, &groups[0], services)
    });
    println!("validation at {many} services / at {few}: {:.2}", ratio(large, small));
}

/// The median.
pub(crate) fn one_change(repository: &Repository, group: &GroupName, services: usize) -> Duration {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|n| {
            let patch = json!({"priority": 7000 + n});
            let route = "get".parse().expect("a name");
            let operation = Operation::PatchRoute { service: service(n % services), route, patch };
            let change = change(group, operation);
            timed(|| {
                repository.plan(&change).expect("planned");
            })
        })
        .collect();
    report(&format!("validation of one change (dry run), {services} services"), &mut times)
}
