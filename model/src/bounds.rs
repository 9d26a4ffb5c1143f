//! How far a run of the model goes, and which rule is taken away.

/// What may happen, at most. Every bound spans a finite space; larger ones are explored by time.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Writes proposed.
    pub writes: u8,
    /// Processes that crash.
    pub crashes: u8,
    /// Times that every process ends at once.
    pub power_cuts: u8,
    /// Processes started again.
    pub restarts: u8,
    /// Times that links are cut.
    pub cuts: u8,
    /// Single links may be cut, not only a server from both others.
    pub partial_cuts: bool,
    /// Elections in one epoch: the highest term, less the epoch.
    pub elections: u64,
    /// Sole survivors.
    pub forces: u8,
    /// Entries in a log.
    pub log: usize,
    /// Changes that a leader proposes because it wrongly suspects a member.
    pub suspicions: u8,
    /// A server may be admitted however far it lags.
    pub lag: bool,
    /// A server may crash in the middle of a step: announced but not persisted.
    pub torn: bool,
    /// Death streams come up when they please, not at once; and those on cut links may be reset.
    pub lazy_streams: bool,
    /// States in which a fair schedule must make the cluster go on are checked for it.
    pub check_progress: bool,
}

impl Bounds {
    /// One crash, nothing else.
    pub fn one_crash() -> Self {
        Self {
            writes: 1,
            crashes: 1,
            power_cuts: 0,
            restarts: 0,
            cuts: 0,
            partial_cuts: false,
            elections: 2,
            forces: 1,
            log: 5,
            suspicions: 0,
            lag: false,
            torn: true,
            lazy_streams: false,
            check_progress: false,
        }
    }
}

impl Broken {
    /// Every one, for the command line.
    pub const ALL: [Self; 17] = [
        Self::VisibleAtMajority,
        Self::NoHoldBack,
        Self::RemoveBelowMajority,
        Self::WaitForTheDead,
        Self::UnlistedStands,
        Self::NoIncarnations,
        Self::ColdByMajority,
        Self::ContinuingVotesCold,
        Self::NoWills,
        Self::AnnounceLate,
        Self::ForceWithoutProof,
        Self::ForceByNewest,
        Self::WillsForbid,
        Self::NoEpochJump,
        Self::ChangeOnUncommitted,
        Self::AdmitUnaware,
        Self::AdmitWithoutStreams,
    ];
}

/// A rule taken away, to show what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Rule 2: what is committed by a majority is shown.
    VisibleAtMajority,
    /// Rule 3: nothing is held back.
    NoHoldBack,
    /// Rule 3: the in-sync set may fall below a majority.
    RemoveBelowMajority,
    /// Rule 3: members proven dead are waited for too.
    WaitForTheDead,
    /// Rule 4: who is not listed stands as in plain Raft.
    UnlistedStands,
    /// Rules 1, 4: a restarted server counts as its predecessor.
    NoIncarnations,
    /// Rule 9: a majority elects a cold candidate.
    ColdByMajority,
    /// Rule 9: a member that never stopped votes cold.
    ContinuingVotesCold,
    /// Rule 6: no configurations are announced.
    NoWills,
    /// Rule 6: a configuration is announced only after it was persisted and acknowledged.
    AnnounceLate,
    /// Rule 7: a server that does not answer is taken for dead.
    ForceWithoutProof,
    /// Rule 7: only the newest configuration in the log is looked at.
    ForceByNewest,
    /// Rule 7: any unknown configuration in a will forbids forcing.
    WillsForbid,
    /// Rule 7: the sole survivor goes on in the next term of the same epoch.
    NoEpochJump,
    /// Rule 1: a change is proposed while an earlier one is not committed.
    ChangeOnUncommitted,
    /// Rule 5: a server is admitted without the newest configuration on its disk.
    AdmitUnaware,
    /// Rule 5: a server is admitted before its death streams stand.
    AdmitWithoutStreams,
}
