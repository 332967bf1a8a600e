//! What stands in the way of several moves at once, where nothing stands in the way of each: their files and networks are there together.

use crate::record::MovePlan;

/// What the plans need together and there is not.
pub(crate) fn obstacles(plans: &[MovePlan]) -> Vec<String> {
    let mut found = Vec::new();
    let needed = sum(plans.iter().map(|plan| plan.memory_needed_bytes));
    let known = plans.iter().map(|plan| plan.memory_free_bytes).filter(|free| *free > 0).min();
    if let Some(free) = known.filter(|free| *free < needed) {
        found.push(format!("{free} bytes of memory are free, {needed} may be needed to load all beside the others"));
    }
    // Directories that were asked for may be on other disks.
    let own: Vec<&MovePlan> = plans.iter().filter(|plan| plan.spec.repository.is_none()).collect();
    let needed = sum(own.iter().map(|plan| plan.total_bytes.saturating_mul(2)));
    if let Some(free) = own.iter().map(|plan| plan.disk_free_bytes).min().filter(|free| *free < needed) {
        found.push(format!("{free} bytes are free on the disk, {needed} may be needed for all"));
    }
    found
}

fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plan of a release, with other figures.
    fn plan(total: u64, disk: u64, needed: u64, memory: u64, elsewhere: bool) -> MovePlan {
        let record: serde_json::Value =
            serde_json::from_str(include_str!("../record/fixtures/rolled-back.json")).unwrap();
        let mut plan: MovePlan = serde_json::from_value(record["plan"].clone()).unwrap();
        plan.spec.repository = elsewhere.then(|| "/elsewhere".into());
        (plan.total_bytes, plan.disk_free_bytes) = (total, disk);
        (plan.memory_needed_bytes, plan.memory_free_bytes) = (needed, memory);
        plan
    }

    #[test]
    fn what_fits_one_by_one_may_not_fit_together() {
        for (plans, expected) in [
            (vec![plan(10, 20, 5, 5, false)], vec![]),
            (vec![plan(10, 40, 5, 10, false), plan(10, 40, 5, 10, false)], vec![]),
            (
                vec![plan(10, 39, 5, 10, false), plan(10, 40, 5, 10, false)],
                vec!["39 bytes are free on the disk, 40 may"],
            ),
            (vec![plan(10, 39, 5, 10, false), plan(10, 39, 5, 10, true)], vec![]),
            (vec![plan(1, 40, 5, 9, false), plan(1, 40, 5, 10, false)], vec!["9 bytes of memory are free, 10 may"]),
            (vec![plan(1, 40, 5, 0, false), plan(1, 40, 5, 0, false)], vec![]),
            (vec![plan(u64::MAX, 40, u64::MAX, 9, false); 2], vec!["9 bytes of memory are free", "40 bytes are free"]),
        ] {
            let found = obstacles(&plans);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
        }
    }
}
