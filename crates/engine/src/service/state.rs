//! Whether a service can answer, and with what: one value, replaced whole.

use std::sync::Arc;

use dede_model::error::{Error, Result};

use super::serving::Serving;

/// What becomes of the requests of a service now.
pub(super) enum ServiceState {
    /// It is being loaded after it was unloaded; until then it answers as if it still were.
    Loading,
    /// It answers.
    Loaded(Arc<Serving>),
    /// It gave its place in memory to another.
    Unloaded,
    /// It could not be loaded, and says why.
    Failed(Error),
}

impl ServiceState {
    /// What is left of an attempt to load it.
    pub(super) fn of(opened: Result<Serving>) -> Self {
        match opened {
            Ok(serving) => Self::Loaded(Arc::new(serving)),
            Err(Error::NotLoaded(_)) => Self::Unloaded,
            Err(error) => Self::Failed(error),
        }
    }

    /// The same while it is being loaded. One that failed says why until it is loaded.
    pub(super) fn while_loading(self: &Arc<Self>) -> Arc<Self> {
        match **self {
            Self::Unloaded => Arc::new(Self::Loading),
            Self::Loading | Self::Loaded(_) | Self::Failed(_) => Arc::clone(self),
        }
    }

    /// The same after loading it failed. One that is loaded goes on answering.
    pub(super) fn after_failure(self: &Arc<Self>, error: &Error) -> Arc<Self> {
        match **self {
            Self::Loaded(_) => Arc::clone(self),
            Self::Loading | Self::Unloaded | Self::Failed(_) => Arc::new(Self::Failed(error.clone())),
        }
    }

    /// What it answers with.
    ///
    /// # Errors
    /// Why it does not; [`Error::NotLoaded`] with the name that is asked for.
    pub(super) fn serving(&self, name: impl FnOnce() -> String) -> Result<Arc<Serving>> {
        match self {
            Self::Loaded(serving) => Ok(Arc::clone(serving)),
            Self::Loading | Self::Unloaded => Err(Error::NotLoaded(name())),
            Self::Failed(error) => Err(error.clone()),
        }
    }

    /// Whether there is something to answer with in memory.
    pub(super) fn is_loaded(&self) -> bool {
        matches!(self, Self::Loaded(_))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::service::Service;
    use crate::stage::{catalogue, create};

    fn refusal(service: &Service) -> Option<String> {
        service.serving().err().map(|error| error.to_string())
    }

    #[test]
    fn a_service_answers_with_what_is_loaded_or_says_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = catalogue(directory.path());
        let service = create(&catalogue, directory.path(), "a", &json!({}));
        let (repository, away) = (directory.path().join("model-a"), directory.path().join("away"));
        let not_loaded = Error::NotLoaded("a".into()).to_string();

        std::fs::rename(&repository, &away).unwrap();
        let reason = service.load().unwrap_err().to_string();
        assert_eq!((refusal(&service), service.is_loaded()), (None, true), "the former network goes on");

        service.unload();
        assert_eq!((refusal(&service), service.is_loaded()), (Some(not_loaded.clone()), false));
        assert_eq!(service.load().unwrap_err().to_string(), reason);
        assert_eq!((refusal(&service), service.is_loaded()), (Some(reason), false));

        std::fs::rename(&away, &repository).unwrap();
        service.load().unwrap();
        assert_eq!((refusal(&service), service.is_loaded()), (None, true));
        service.unload();
        assert_eq!(refusal(&service), Some(not_loaded));
    }

    #[test]
    fn loading_shows_only_where_nothing_else_is_to_be_said() {
        let unloaded = Arc::new(ServiceState::Unloaded);
        let loading = unloaded.while_loading();
        assert!(matches!(*loading, ServiceState::Loading));
        assert!(matches!(loading.serving(|| "a".into()), Err(Error::NotLoaded(name)) if name == "a"));
        let failed = loading.after_failure(&Error::bad_parameter("damaged"));
        assert!(matches!(&*failed, ServiceState::Failed(error) if error.to_string().contains("damaged")));
        assert!(matches!(*failed.while_loading(), ServiceState::Failed(_)), "the reason is still the best answer");
    }
}
