//! Changes of several aliases in one step: one synced record, one pointer swap. No reader, and no restart, sees some of them without the
//! others.

use std::sync::Arc;

use dede_model::error::Result;

use super::Catalogue;
use super::desired::{AliasCommand, Command};
use super::owner::Change;
use super::snapshot::Snapshot;
use crate::name::ServiceName;

impl Catalogue {
    /// Changes several aliases, all of them or none, unless `allowed` returns an error; it is called in the same step, again where that is
    /// tried again. Gives the snapshot in which all are changed, whatever later changes do.
    ///
    /// # Errors
    /// The first refusal of a change, and that of `allowed`; [`dede_model::error::Error::AliasConflict`] for an alias that stands twice among
    /// them. No alias was changed then.
    pub fn change_together(
        &self,
        changes: Vec<(ServiceName, AliasCommand)>,
        allowed: impl Fn() -> Result<()> + Send + 'static,
    ) -> Result<Arc<Snapshot>> {
        self.owner.change(Change::record(Command::Together(changes)).only_if(move |_| allowed()))
    }
}

#[cfg(test)]
mod tests {
    use dede_model::error::Error;
    use serde_json::json;

    use super::super::desired::{AliasChange, Expected, SwitchRequest};
    use super::*;
    use crate::service::ServiceId;
    use crate::stage::{catalogue, create, id};

    /// Aliases `detector` and `reader` on the services `d1` and `r1`; `d2` and `r2` are there too.
    fn stage(directory: &tempfile::TempDir) -> Arc<Catalogue> {
        let catalogue = catalogue(directory.path());
        for name in ["d1", "d2", "r1", "r2"] {
            create(&catalogue, directory.path(), name, &json!({}));
        }
        for (alias, service) in [("detector", "d1"), ("reader", "r1")] {
            let change = AliasChange { service: service.into(), ..AliasChange::default() };
            catalogue.put_alias(alias, change).unwrap();
        }
        catalogue
    }

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text).unwrap()
    }

    /// A switch to a service, if the alias has this generation.
    fn switch(catalogue: &Catalogue, alias: &str, service: &str, generation: u64) -> (ServiceName, AliasCommand) {
        let expect = vec![Expected::Generation(generation)];
        let request = SwitchRequest { expect, ..SwitchRequest::to(id(catalogue, service)) };
        (name(alias), AliasCommand::Switch(request))
    }

    fn targets(snapshot: &Snapshot) -> [(Option<ServiceId>, u64); 2] {
        ["detector", "reader"].map(|alias| {
            let alias = snapshot.alias(&name(alias)).unwrap();
            (alias.target().service(), alias.generation)
        })
    }

    #[test]
    fn all_switch_or_none_does_and_a_restart_sees_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = stage(&directory);
        let ids = |of: &Catalogue, names: [&str; 2]| names.map(|name| Some(id(of, name)));
        let before = targets(&catalogue.snapshot());
        for (changes, complaint) in [
            (
                vec![switch(&catalogue, "detector", "d2", 1), switch(&catalogue, "reader", "r2", 7)],
                "expected generation 7 of reader, found 1",
            ),
            (
                vec![switch(&catalogue, "detector", "d2", 1), switch(&catalogue, "detector", "d1", 2)],
                "detector stands twice among aliases that change together",
            ),
        ] {
            let refused = catalogue.change_together(changes, || Ok(()));
            assert_eq!(refused.map(drop).unwrap_err().to_string(), complaint);
            assert_eq!(targets(&catalogue.snapshot()), before);
        }
        let both = || vec![switch(&catalogue, "detector", "d2", 1), switch(&catalogue, "reader", "r2", 1)];
        let refused = catalogue.change_together(both(), || Err(Error::MoveConflict("worse".into())));
        assert_eq!(refused.map(drop).unwrap_err().to_string(), "worse");
        assert_eq!(targets(&catalogue.snapshot()), before);

        let after = catalogue.change_together(both(), || Ok(())).unwrap();
        let new = ids(&catalogue, ["d2", "r2"]).map(|id| (id, 2));
        assert_eq!(targets(&after), new);
        drop(after);
        drop(catalogue);
        let again = crate::stage::catalogue(directory.path());
        assert_eq!(targets(&again.snapshot()), new);
    }

    /// Every snapshot that a reader can take has both or neither.
    #[test]
    fn no_reader_sees_one_without_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = stage(&directory);
        let pairs = [["d1", "r1"], ["d2", "r2"]].map(|pair| pair.map(|name| Some(id(&catalogue, name))));
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| {
                for turn in 1..=50 {
                    let to = if turn % 2 == 1 { ["d2", "r2"] } else { ["d1", "r1"] };
                    let changes = [("detector", to[0]), ("reader", to[1])];
                    let changes = changes.map(|(alias, service)| switch(&catalogue, alias, service, turn)).to_vec();
                    catalogue.change_together(changes, || Ok(())).unwrap();
                }
            });
            let (mut changes, mut last) = (0, targets(&catalogue.snapshot()));
            while !changing.is_finished() {
                let seen = targets(&catalogue.snapshot());
                assert!(pairs.contains(&seen.map(|(id, _)| id)), "{seen:?}");
                assert_eq!(seen[0].1, seen[1].1, "their generations grow together");
                changes += u64::from(seen != last);
                last = seen;
            }
            assert!(changes > 1, "it saw {changes} changes");
        });
    }
}
