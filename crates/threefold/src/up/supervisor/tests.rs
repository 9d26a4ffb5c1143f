//! What becomes of servers that cannot be started.

use super::*;

#[tokio::test]
async fn a_start_by_hand_that_fails_does_not_end_the_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::open(directory.path()).unwrap();
    let cluster = ClusterFile::new(3, 7400);
    let plans = cluster.plans(&layout).unwrap();
    let control = Control::open(plans.iter().map(|plan| plan.client.port())).await.unwrap();
    let nowhere = directory.path().join("no such program");
    let mut supervisor = Supervisor::new(nowhere, layout, cluster, plans, control, true, Voice::Silence).unwrap();
    let due = Instant::now();
    supervisor.slots[1].restart_at = Some(due);
    assert!(supervisor.carry_out(1, Deed::Start).is_err());
    assert_eq!(supervisor.slots[1].restart_at, Some(due), "it is tried again");
    supervisor.start_due();
    assert!(supervisor.slots[1].restart_at.is_some_and(|at| at > due), "and again");
}
