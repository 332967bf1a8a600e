//! Training parameters as resolved: every default applied, every rule checked (contract.md 4.5 and 7.1).
//!
//! Mistakes are answered here, before a job starts. This file must not know data, networks or burn.

use dede_model::backend::Task;
use dede_model::error::{Error, Result};
use dede_model::parameters::Count;

use super::idle;
use super::options::{MLLIB, SolverOptions, TrainOptions};
use super::schedule::{Policy, Schedule, WarmUp};
use super::solver::Rule;

/// Items of a batch when the request does not say.
const BATCH_SIZE: u64 = 64;
/// Items of a test batch when the request does not say; results do not depend on it.
const TEST_BATCH_SIZE: u64 = 256;
/// The most items of one batch: larger ones are mistakes.
const LARGEST_BATCH: u64 = 1 << 24;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) task: Task,
    pub(super) batch_size: usize,
    pub(super) test_batch_size: usize,
    /// Batches whose gradients make one iteration.
    pub(super) batches_per_iteration: u64,
    pub(super) iterations: u64,
    /// `None`: only at the end.
    pub(super) test_interval: Option<u64>,
    /// Whether the untrained network is tested, too.
    pub(super) test_initialization: bool,
    /// `None`: no regular snapshots.
    pub(super) snapshot_interval: Option<u64>,
    /// Whether the request itself asked for regular snapshots: they are kept then.
    pub(super) keep_snapshots: bool,
    pub(super) schedule: Schedule,
    pub(super) rule: Rule,
    pub(super) weight_decay: f32,
    /// One per class; empty: all alike.
    pub(super) class_weights: Vec<f32>,
    /// `None`: drawn when the training starts.
    pub(super) seed: Option<u64>,
    pub(super) shuffle: bool,
    pub(super) resume: bool,
}

/// What `<template>_solver.prototxt` of the original says.
struct Defaults {
    base_lr: f64,
    policy: &'static str,
    gamma: Option<f64>,
    power: Option<f64>,
    weight_decay: f64,
    iterations: u64,
    test_interval: u64,
    snapshot: u64,
}

impl Defaults {
    /// Of a template; networks without a template take those of `convnet`.
    fn of(template: Option<&str>) -> Self {
        let table = Self {
            base_lr: 0.1,
            policy: "fixed",
            gamma: None,
            power: None,
            weight_decay: 0.0,
            iterations: 400_000,
            test_interval: 100,
            snapshot: 400_000,
        };
        match template {
            Some("mlp") => table,
            Some("lregression") => {
                Self { policy: "inv", gamma: Some(0.0001), power: Some(0.75), weight_decay: 1e-5, ..table }
            }
            _ => Self {
                base_lr: 0.01,
                weight_decay: 0.004,
                iterations: 50_000,
                test_interval: 1_000,
                snapshot: 10_000,
                ..table
            },
        }
    }
}

impl Settings {
    /// Applies defaults and rules. `task` is what the network to train is for.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the path, what was expected and what was found; also a key that has no effect.
    pub(super) fn resolve(options: &TrainOptions, task: Task) -> Result<Self> {
        let solver = options.mllib.solver.as_ref();
        solver.map_or(Ok(()), |solver| idle::check(solver, Defaults::of(options.mllib.template.as_deref()).policy))?;
        Self::of_values(options, task)
    }

    /// Checks each value of a creation, which trainings take where they say nothing: what they need besides may come with them.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the path, what was expected and what was found.
    pub(super) fn check_creation(options: &TrainOptions) -> Result<()> {
        let mut options = options.clone();
        let solver = &mut options.solver;
        solver.iterations.get_or_insert(Count(1));
        solver.gamma.get_or_insert(1.0);
        solver.power.get_or_insert(1.0);
        solver.stepsize.get_or_insert(Count(1));
        solver.stepvalue.get_or_insert_with(|| vec![Count(1)]);
        let weights = options.mllib.class_weights.as_ref().map_or(1, Vec::len);
        let asked = |count: Option<Count>| count.map(|count| count.0 as usize).filter(|&count| count > 0);
        let task = match options.mllib.regression {
            Some(true) => Task::Regression { targets: asked(options.mllib.ntargets).unwrap_or(1) },
            Some(false) | None => Task::Classification { classes: asked(options.mllib.nclasses).unwrap_or(weights) },
        };
        Self::of_values(&options, task).map(drop)
    }

    /// Checks `class_weights` against the classes that there are.
    ///
    /// # Errors
    /// [`Error::BadParameter`] naming the path, what was expected and what was found.
    pub(super) fn check_class_weights(options: &TrainOptions, task: Task) -> Result<()> {
        class_weights(options.mllib.class_weights.as_deref().unwrap_or(&[]), task).map(drop)
    }

    fn of_values(options: &TrainOptions, task: Task) -> Result<Self> {
        let solver = &options.solver;
        let defaults = Defaults::of(options.mllib.template.as_deref());
        let iterations = positive(solver.iterations, defaults.iterations, "solver.iterations")?;
        let some_if_positive = |count: Option<Count>, default| match count.map_or(default, |count| count.0) {
            0 => None,
            interval => Some(interval),
        };
        let weight_decay = at_least_zero(solver.weight_decay, defaults.weight_decay, "solver.weight_decay")?;
        Ok(Self {
            task,
            batch_size: batch_size(options.net.batch_size, BATCH_SIZE, "batch_size")?,
            test_batch_size: batch_size(options.net.test_batch_size, TEST_BATCH_SIZE, "test_batch_size")?,
            batches_per_iteration: positive(solver.iter_size, 1, "solver.iter_size")?,
            iterations,
            test_interval: some_if_positive(solver.test_interval, defaults.test_interval),
            test_initialization: solver.test_initialization.unwrap_or(true),
            snapshot_interval: some_if_positive(solver.snapshot, defaults.snapshot),
            keep_snapshots: solver.snapshot.is_some(),
            schedule: schedule(solver, &defaults, iterations)?,
            rule: rule(solver)?,
            weight_decay: weight_decay as f32,
            class_weights: class_weights(options.mllib.class_weights.as_deref().unwrap_or(&[]), task)?,
            seed: seed(options)?,
            shuffle: options.input.shuffle.unwrap_or(true),
            resume: options.mllib.resume.unwrap_or(false),
        })
    }
}

fn batch_size(asked: Option<Count>, default: u64, key: &str) -> Result<usize> {
    match asked.map_or(default, |count| count.0) {
        0 => Err(Error::bad_parameter_at(format!("{MLLIB}.net.{key}"), "batch size set to zero")),
        size if size > LARGEST_BATCH => Err(wrong(&format!("net.{key}"), &format!("at most {LARGEST_BATCH}"), size)),
        size => Ok(size as usize),
    }
}

fn rule(solver: &SolverOptions) -> Result<Rule> {
    let asked = solver.solver_type.as_deref().unwrap_or("SGD");
    let momentum = below_one(solver.momentum, 0.9, "solver.momentum")?;
    let decay = below_one(solver.rms_decay, 0.99, "solver.rms_decay")?;
    let [beta1, beta2] = betas(solver)?;
    match asked.to_ascii_uppercase().as_str() {
        "SGD" => Ok(Rule::Sgd { momentum }),
        "NESTEROV" => Ok(Rule::Nesterov { momentum }),
        "ADAGRAD" => Ok(Rule::AdaGrad),
        "RMSPROP" => Ok(Rule::RmsProp { decay }),
        "ADADELTA" => Ok(Rule::AdaDelta { momentum }),
        "ADAM" => Ok(Rule::Adam { beta1, beta2 }),
        "ADAMW" if solver.iterations.is_some() => Ok(Rule::AdamW { beta1, beta2 }),
        "ADAMW" => Err(wrong("solver.iterations", "a number of iterations, which ADAMW needs", "none")),
        "AMSGRAD" | "RANGER" | "RANGER_PLUS" | "SGDW" | "AMSGRADW" | "MADGRAD" => Err(Error::bad_parameter_at(
            format!("{MLLIB}.solver.solver_type"),
            format!("not supported yet: solver_type {asked}"),
        )),
        _ => {
            let expected = "SGD, NESTEROV, ADAGRAD, RMSPROP, ADADELTA, ADAM or ADAMW";
            Err(wrong("solver.solver_type", expected, asked))
        }
    }
}

/// The decay rates of the moments that ADAM and ADAMW keep: `beta1` is what Caffe calls `momentum`.
fn betas(solver: &SolverOptions) -> Result<[f32; 2]> {
    if let (Some(beta1), Some(momentum)) = (solver.beta1, solver.momentum)
        && beta1 != momentum
    {
        let expected = format!("{momentum}, as momentum says, or no momentum");
        return Err(wrong("solver.beta1", &expected, beta1));
    }
    let beta1 = below_one(solver.beta1.or(solver.momentum), 0.9, "solver.beta1")?;
    Ok([beta1, below_one(solver.beta2, 0.999, "solver.beta2")?])
}

fn schedule(solver: &SolverOptions, defaults: &Defaults, iterations: u64) -> Result<Schedule> {
    let base = solver.base_lr.unwrap_or(defaults.base_lr);
    if !(base.is_finite() && base > 0.0) {
        return Err(wrong("solver.base_lr", "a number above 0", base));
    }
    let asked = solver.lr_policy.as_deref().unwrap_or(defaults.policy);
    let gamma = || needed(solver.gamma.or(defaults.gamma), "gamma", asked);
    let power = || needed(solver.power.or(defaults.power), "power", asked);
    let step = || match solver.stepsize {
        Some(Count(step)) if step > 0 => Ok(step),
        Some(Count(_)) => Err(wrong("solver.stepsize", "a whole number from 1", 0)),
        None => needed(None, "stepsize", asked),
    };
    let policy = match asked {
        "fixed" => Policy::Fixed,
        "step" => Policy::Step { gamma: gamma()?, step: step()? },
        "exp" => Policy::Exponential { gamma: gamma()? },
        "inv" => Policy::Inverse { gamma: gamma()?, power: power()? },
        "multistep" => {
            let steps = solver.stepvalue.as_ref().filter(|steps| !steps.is_empty());
            let steps: Option<Vec<u64>> = steps.map(|steps| steps.iter().map(|step| step.0).collect());
            Policy::MultiStep { gamma: gamma()?, steps: needed(steps, "stepvalue", asked)? }
        }
        "poly" => Policy::Polynomial { power: power()? },
        "sigmoid" => Policy::Sigmoid { gamma: gamma()?, step: step()? },
        "sgdr" => {
            let at = format!("{MLLIB}.solver.lr_policy");
            return Err(Error::bad_parameter_at(at, "not supported yet: lr_policy sgdr"));
        }
        _ => {
            let expected = "fixed, step, exp, inv, multistep, poly or sigmoid";
            return Err(wrong("solver.lr_policy", expected, asked));
        }
    };
    let minimum = at_least_zero(solver.min_lr, 0.0, "solver.min_lr")?;
    let warm_up = match solver.warmup_iter {
        Some(Count(iterations)) if iterations > 0 => {
            Some(WarmUp { rate: at_least_zero(solver.warmup_lr, 0.0, "solver.warmup_lr")?, iterations })
        }
        Some(_) | None => None,
    };
    Ok(Schedule { base, policy, warm_up, minimum, iterations })
}

/// The seed asked for; -1 asks for a random one.
fn seed(options: &TrainOptions) -> Result<Option<u64>> {
    for (path, seed) in [(MLLIB, options.mllib.seed), ("parameters.input", options.input.seed)] {
        if let Some(seed) = seed.filter(|&seed| seed < -1) {
            let text = format!("expected a whole number from 0, or -1 for a random one, found {seed}");
            return Err(Error::bad_parameter_at(format!("{path}.seed"), text));
        }
    }
    Ok(options.mllib.seed.or(options.input.seed).and_then(|seed| u64::try_from(seed).ok()))
}

fn class_weights(asked: &[f64], task: Task) -> Result<Vec<f32>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let expected = match task {
        Task::Classification { classes } => classes,
        Task::Regression { .. }
        | Task::Detection { .. }
        | Task::Segmentation { .. }
        | Task::Features
        | Task::Tensors => {
            return Err(wrong("class_weights", "none for a regression", asked.len()));
        }
    };
    if asked.len() != expected {
        return Err(wrong("class_weights", &format!("{expected} numbers, one per class"), asked.len()));
    }
    match asked.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        Some(weight) => Err(wrong("class_weights", "numbers from 0", weight)),
        None if asked.iter().all(|weight| *weight == 0.0) => Err(wrong("class_weights", "a number above 0", "zeros")),
        None => Ok(asked.iter().map(|weight| *weight as f32).collect()),
    }
}

fn positive(asked: Option<Count>, default: u64, key: &str) -> Result<u64> {
    match asked {
        Some(Count(0)) => Err(wrong(key, "a whole number from 1", 0)),
        Some(Count(count)) => Ok(count),
        None => Ok(default),
    }
}

fn at_least_zero(asked: Option<f64>, default: f64, key: &str) -> Result<f64> {
    let value = asked.unwrap_or(default);
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(wrong(key, "a number from 0", value)) }
}

fn below_one(asked: Option<f64>, default: f64, key: &str) -> Result<f32> {
    let value = asked.unwrap_or(default);
    if (0.0..1.0).contains(&value) { Ok(value as f32) } else { Err(wrong(key, "a number from 0 to below 1", value)) }
}

fn needed<T>(value: Option<T>, key: &str, policy: &str) -> Result<T> {
    value.ok_or_else(|| {
        Error::bad_parameter_at(format!("{MLLIB}.solver.{key}"), format!("lr_policy {policy} needs {key}, found none"))
    })
}

fn wrong(key: &str, expected: &str, found: impl std::fmt::Display) -> Error {
    Error::bad_parameter_at(format!("{MLLIB}.{key}"), format!("expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use dede_model::parameters::Section;
    use dede_model::parameters::keys::{Key, Moment, Standing};
    use serde_json::{Value, json};

    use super::*;
    use crate::neural::keys::KEYS;

    fn section(value: &Value) -> Section {
        value.as_object().cloned().unwrap()
    }

    fn resolve(mllib: &Value) -> Result<Settings> {
        let options = TrainOptions::parse(&section(mllib), &Section::new())?;
        Settings::resolve(&options, Task::Classification { classes: 3 })
    }

    #[test]
    fn defaults_are_those_of_each_template() {
        let table = [
            ("mlp", 0.1, Policy::Fixed, 0.0, 400_000, 100),
            ("lregression", 0.1, Policy::Inverse { gamma: 0.0001, power: 0.75 }, 1e-5, 400_000, 100),
            ("convnet", 0.01, Policy::Fixed, 0.004, 50_000, 1_000),
        ];
        for (template, base, policy, weight_decay, iterations, test_interval) in table {
            let settings = resolve(&json!({ "template": template })).unwrap();
            assert_eq!(settings.schedule.base, base, "{template}");
            assert_eq!(settings.schedule.policy, policy, "{template}");
            assert_eq!(settings.weight_decay, weight_decay as f32, "{template}");
            assert_eq!(settings.iterations, iterations, "{template}");
            assert_eq!(settings.test_interval, Some(test_interval), "{template}");
            assert_eq!(settings.rule, Rule::Sgd { momentum: 0.9 }, "{template}");
        }
    }

    #[test]
    fn batch_sizes_are_taken_as_asked() {
        let settings = resolve(&json!({"net": {"batch_size": 511, "test_batch_size": 7}})).unwrap();
        assert_eq!((settings.batch_size, settings.test_batch_size), (511, 7));
    }

    #[test]
    fn names_of_solvers_are_case_insensitive() {
        for (name, rule) in [
            ("adam", Rule::Adam { beta1: 0.8, beta2: 0.999 }),
            ("AdamW", Rule::AdamW { beta1: 0.8, beta2: 0.999 }),
            ("nesterov", Rule::Nesterov { momentum: 0.8 }),
            ("AdaDelta", Rule::AdaDelta { momentum: 0.8 }),
        ] {
            let solver = json!({"solver": {"solver_type": name, "momentum": 0.8, "iterations": 5}});
            assert_eq!(resolve(&solver).unwrap().rule, rule);
        }
        for (name, rule) in [("RMSprop", Rule::RmsProp { decay: 0.99 }), ("AdaGrad", Rule::AdaGrad)] {
            assert_eq!(resolve(&json!({"solver": {"solver_type": name}})).unwrap().rule, rule);
        }
    }

    #[test]
    fn what_a_creation_says_of_trainings_is_checked_by_itself() {
        for (mllib, refused) in [
            (json!({"solver": {"solver_type": "ADAMW", "lr_policy": "step"}}), None),
            (json!({"solver": {"gamma": 0.1}, "class_weights": [1, 2], "seed": 3}), None),
            (json!({"solver": {"solver_type": "ZZZ"}}), Some("found ZZZ")),
            (json!({"solver": {"iterations": 0}}), Some("parameters.mllib.solver.iterations")),
            (json!({"solver": {"base_lr": "x"}}), Some("parameters.mllib.solver.base_lr")),
            (json!({"net": {"batch_size": "x"}}), Some("parameters.mllib.net.batch_size")),
            (json!({"class_weights": "x"}), Some("parameters.mllib.class_weights")),
            (json!({"class_weights": [-1]}), Some("parameters.mllib.class_weights")),
            (json!({"class_weights": [1, 1], "nclasses": 2}), None),
            (json!({"class_weights": [1, 1], "nclasses": 0}), None),
            (json!({"class_weights": [1, 1], "nclasses": 3}), Some("expected 3 numbers, one per class, found 2")),
            (json!({"class_weights": [1, 1], "regression": true}), Some("expected none for a regression, found 2")),
            (json!({"seed": -1}), None),
            (json!({"seed": -7}), Some("or -1 for a random one, found -7 (parameters.mllib.seed)")),
            (json!({"seed": "x"}), Some("parameters.mllib.seed")),
            (json!({"resume": "x"}), Some("parameters.mllib.resume")),
        ] {
            let options = TrainOptions::parse(&section(&mllib), &Section::new());
            let found = options.and_then(|options| Settings::check_creation(&options));
            match refused {
                None => assert!(found.is_ok(), "{mllib}: {found:?}"),
                Some(place) => assert!(found.unwrap_err().to_string().contains(place), "{mllib}"),
            }
        }
    }

    #[test]
    fn the_betas_of_adam_are_taken_as_asked() {
        for (solver, beta1, beta2) in [
            (json!({"solver_type": "ADAM"}), 0.9, 0.999),
            (json!({"solver_type": "ADAM", "beta1": 0.5, "beta2": 0.9}), 0.5, 0.9),
            (json!({"solver_type": "ADAM", "beta1": 0.5, "momentum": 0.5}), 0.5, 0.999),
        ] {
            let settings = resolve(&json!({ "solver": solver })).unwrap();
            assert_eq!(settings.rule, Rule::Adam { beta1, beta2 }, "{solver}");
        }
    }

    #[test]
    fn mistakes_name_path_and_value() {
        let table = [
            (json!({"net": {"batch_size": 0}}), "batch size set to zero (parameters.mllib.net.batch_size)"),
            (json!({"solver": {"solver_type": "ranger"}}), "not supported yet: solver_type ranger"),
            (json!({"solver": {"solver_type": "SDG"}}), "found SDG"),
            (json!({"solver": {"solver_type": "ADAMW"}}), "parameters.mllib.solver.iterations"),
            (json!({"solver": {"lr_policy": "sgdr"}}), "not supported yet: lr_policy sgdr"),
            (json!({"solver": {"lr_policy": "cosine"}}), "found cosine"),
            (json!({"solver": {"lr_policy": "step", "gamma": 0.1}}), "parameters.mllib.solver.stepsize"),
            (json!({"solver": {"lr_policy": "step", "gamma": 0.1, "stepsize": 0}}), "from 1"),
            (json!({"solver": {"lr_policy": "exp"}}), "lr_policy exp needs gamma"),
            (json!({"solver": {"lr_policy": "multistep", "gamma": 0.1}}), "parameters.mllib.solver.stepvalue"),
            (json!({"solver": {"base_lr": 0}}), "parameters.mllib.solver.base_lr"),
            (json!({"solver": {"momentum": 1.0}}), "parameters.mllib.solver.momentum"),
            (json!({"solver": {"iterations": 0}}), "parameters.mllib.solver.iterations"),
            (json!({"solver": {"iter_size": 0}}), "parameters.mllib.solver.iter_size"),
            (json!({"solver": {"weight_decay": -1}}), "parameters.mllib.solver.weight_decay"),
            (
                json!({"solver": {"beta1": 0.9}}),
                "expected none, as solver_type SGD does not use it, found 0.9 (parameters.mllib.solver.beta1)",
            ),
            (
                json!({"solver": {"lr_policy": "multistep", "gamma": 0.1, "stepvalue": []}}),
                "needs stepvalue, found none",
            ),
            (json!({"solver": {"beta2": 1.0, "solver_type": "ADAM"}}), "parameters.mllib.solver.beta2"),
            (
                json!({"solver": {"beta1": 0.5, "momentum": 0.9, "solver_type": "ADAM"}}),
                "expected 0.9, as momentum says, or no momentum, found 0.5",
            ),
            (json!({"class_weights": [1, 2]}), "expected 3 numbers, one per class, found 2"),
            (json!({"class_weights": [1, -2, 1]}), "parameters.mllib.class_weights"),
        ];
        for (mllib, expected) in table {
            let error = resolve(&mllib).unwrap_err();
            assert!(matches!(error, Error::BadParameter(_)), "{mllib}: {error:?}");
            assert!(error.to_string().contains(expected), "{mllib}: {error}");
        }
    }

    #[test]
    fn a_seed_of_minus_one_is_a_random_one_and_the_connectors_counts() {
        let seeds = [(json!({}), json!({"seed": 7}), Some(7)), (json!({"seed": -1}), json!({}), None)];
        for (mllib, input, expected) in seeds {
            let options = TrainOptions::parse(&section(&mllib), &section(&input)).unwrap();
            let settings = Settings::resolve(&options, Task::Regression { targets: 1 }).unwrap();
            assert_eq!(settings.seed, expected);
        }
        let options = TrainOptions::parse(&Section::new(), &section(&json!({"seed": -4}))).unwrap();
        let error = Settings::resolve(&options, Task::Regression { targets: 1 }).unwrap_err().to_string();
        assert!(error.contains("found -4 (parameters.input.seed)"), "{error}");
    }

    /// Each key that decides a training, with parameters and a value that resolve to other settings than the parameters alone.
    #[test]
    fn every_key_of_a_training_changes_the_settings() {
        let adam = json!({"solver_type": "ADAM"});
        let exponential = json!({"lr_policy": "exp", "gamma": 0.5});
        let step = json!({"lr_policy": "step", "gamma": 0.5, "stepsize": 5});
        let steps = json!({"lr_policy": "multistep", "gamma": 0.5, "stepvalue": [5]});
        let changes = [
            ("solver.iterations", json!({}), json!(7)),
            ("solver.test_interval", json!({}), json!(7)),
            ("solver.test_initialization", json!({}), json!(false)),
            ("solver.snapshot", json!({}), json!(7)),
            ("solver.solver_type", json!({}), json!("ADAM")),
            ("solver.lr_policy", step.clone(), json!("sigmoid")),
            ("solver.base_lr", json!({}), json!(0.5)),
            ("solver.min_lr", json!({}), json!(0.5)),
            ("solver.warmup_lr", json!({"warmup_iter": 5}), json!(0.5)),
            ("solver.warmup_iter", json!({}), json!(5)),
            ("solver.gamma", exponential, json!(0.25)),
            ("solver.power", json!({"lr_policy": "poly", "power": 1}), json!(2)),
            ("solver.stepsize", step, json!(7)),
            ("solver.stepvalue", steps, json!([7])),
            ("solver.momentum", json!({}), json!(0.5)),
            ("solver.beta1", adam.clone(), json!(0.5)),
            ("solver.beta2", adam, json!(0.5)),
            ("solver.weight_decay", json!({}), json!(0.5)),
            ("solver.rms_decay", json!({"solver_type": "RMSPROP"}), json!(0.5)),
            ("solver.iter_size", json!({}), json!(2)),
            ("net.batch_size", json!({}), json!(7)),
            ("net.test_batch_size", json!({}), json!(7)),
            ("class_weights", json!({}), json!([1, 2, 3])),
            ("seed", json!({}), json!(7)),
            ("resume", json!({}), json!(true)),
        ];
        // Whether weights are taken over is decided by `Origin`.
        let applied = |key: &&Key| match key.standing {
            Standing::Applied(Moment::Training | Moment::Each) => key.path != "finetuning",
            Standing::Applied(_) | Standing::NotYet(_) | Standing::WithoutEffect(_) => false,
        };
        for key in KEYS.keys().filter(applied) {
            let change = changes.iter().find(|(path, ..)| *path == key.path);
            let (path, base, value) = change.unwrap_or_else(|| panic!("no change is known for {}", key.path));
            let (group, name) = path.split_once('.').unwrap_or(("", path));
            let mut base = json!({ "solver": base });
            let before = resolve(&base).unwrap();
            match group {
                "" => base[name] = value.clone(),
                group => base[group][name] = value.clone(),
            }
            assert_ne!(resolve(&base).unwrap(), before, "{path}");
        }
    }
}
