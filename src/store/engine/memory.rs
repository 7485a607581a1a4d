//! An engine in memory, for tests and simulation: what it holds is gone with the last clone of it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Damage, Delta, Engine, EngineError, EngineRegister, EngineVerified, KeyRange, Merged, RegisterKey, Sift, SmallValue};
use crate::progress::Progress;
use crate::store::packed::PackedRef;

/// Apart from the keys, so that a search passes over keys only.
type Kept = Arc<EngineRegister>;

#[derive(Clone, Debug, Default)]
struct State {
    registers: BTreeMap<RegisterKey, Kept>,
    meta: BTreeMap<Vec<u8>, Vec<u8>>,
    undo: Undo,
}

/// What to put back if the power is lost: the values that were there at the last sync, of what changed since.
#[derive(Clone, Debug, Default)]
struct Undo {
    registers: BTreeMap<RegisterKey, Option<Kept>>,
    meta: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl State {
    fn set_register(&mut self, key: RegisterKey, register: Option<Kept>) {
        let before = match register {
            Some(register) => self.registers.insert(key, register),
            None => self.registers.remove(&key),
        };
        self.undo.registers.entry(key).or_insert(before);
    }

    fn set_meta(&mut self, name: &[u8], value: Option<&[u8]>) {
        let before = match value {
            Some(value) => self.meta.insert(name.to_vec(), value.to_vec()),
            None => self.meta.remove(name),
        };
        self.undo.meta.entry(name.to_vec()).or_insert(before);
    }

    fn undo(&mut self) {
        let Undo { registers, meta } = std::mem::take(&mut self.undo);
        for (key, before) in registers {
            match before {
                Some(before) => self.registers.insert(key, before),
                None => self.registers.remove(&key),
            };
        }
        for (name, before) in meta {
            match before {
                Some(before) => self.meta.insert(name, before),
                None => self.meta.remove(&name),
            };
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    failing: AtomicBool,
    damage: Mutex<Vec<Damage>>,
}

/// Registers and small values in ordered maps. Clones share them, so that a test can open a store again over what the last one left.
#[derive(Clone, Debug, Default)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of what it holds now, which goes its own way from here on.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = State { undo: Undo::default(), ..self.state().clone() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on every call that writes fails, or none.
    pub fn set_failing(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::Relaxed);
    }

    /// Goes back to what the last sync made durable.
    pub fn lose_power(&self) {
        self.state().undo();
    }

    /// Loses a register, as if its page had been found damaged.
    pub fn damage(&self, key: RegisterKey) {
        self.state().set_register(key, None);
        let damage = Damage { file: "memory".into(), offset: 0, bytes: 0, key: Some(key.0), what: "a fault was injected".into() };
        self.shared.damage.lock().unwrap_or_else(PoisonError::into_inner).push(damage);
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.shared.failing.load(Ordering::Relaxed) {
            return Err(EngineError::Database("a fault was injected".into()));
        }
        Ok(())
    }
}

impl Engine for MemoryEngine {
    fn merge(
        &self,
        deltas: &[Delta<'_>],
        sweep: &[KeyRange],
        sift: &dyn Sift,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<(), EngineError> {
        let mut state = self.state();
        for delta in deltas {
            let packed = PackedRef { profile: delta.profile, title: delta.title, state: delta.state };
            let old = state.registers.get(&delta.key).cloned();
            let mut progress = packed.progress()?;
            let mut arrived = delta.arrived;
            if let Some(old) = &old {
                if delta.finds(&old.progress) {
                    // As on a disk: what brings nothing new is not written, and keeps the number it has.
                    if old.progress.holds(&progress) && sift.keeps(delta.key, delta.profile, &old.progress) {
                        continue;
                    }
                    progress = old.progress.clone().joined(&progress);
                }
                arrived = arrived.max(old.arrived);
            }
            #[cfg(leftoff_planted)]
            if crate::planted::is_on(crate::planted::Planted::FoldOverwrites) {
                progress = packed.progress()?;
            }
            let kept = sift.keeps(delta.key, delta.profile, &progress);
            let before = old.as_ref().map(|old| &old.progress);
            if kept || before.is_some() {
                visit(Merged { key: delta.key, old: before, new: kept.then_some(&progress), arrived });
            }
            // A disk fails when it is written to, after the change was shown.
            self.check()?;
            if kept {
                let (profile, title) = (packed.profile_id()?, packed.title_id()?);
                let register = EngineRegister { key: delta.key, profile, title, progress, arrived };
                state.set_register(delta.key, Some(Arc::new(register)));
            } else if old.is_some() {
                state.set_register(delta.key, None);
            }
        }
        self.check()?;
        for range in sweep {
            let mut gone = Vec::new();
            for (key, register) in state.registers.range(range.first..=range.last) {
                let mut profile = Vec::new();
                crate::progress::codec::put_id(&mut profile, register.profile.as_str());
                if !sift.keeps(*key, &profile, &register.progress) {
                    visit(Merged { key: *key, old: Some(&register.progress), new: None, arrived: register.arrived });
                    gone.push(*key);
                }
            }
            for key in gone {
                state.set_register(key, None);
            }
        }
        Ok(())
    }

    fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>) -> Result<(), EngineError> {
        // Taken first: a visitor may call back into the store.
        let found: Vec<Kept> = self.state().registers.range(range.first..=range.last).map(|(_, one)| Arc::clone(one)).collect();
        for register in found {
            if visit(EngineRegister::clone(&register)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn register(&self, key: RegisterKey) -> Result<Option<(Progress, crate::store::Seq)>, EngineError> {
        Ok(self.state().registers.get(&key).map(|register| (register.progress.clone(), register.arrived)))
    }

    fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.state().meta.get(name).cloned())
    }

    fn meta_under(&self, prefix: &[u8]) -> Result<Vec<SmallValue>, EngineError> {
        let state = self.state();
        let under = state.meta.range(prefix.to_vec()..).take_while(|(name, _)| name.starts_with(prefix));
        Ok(under.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn put_meta(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), EngineError> {
        self.check()?;
        let mut state = self.state();
        for (name, value) in changes {
            state.set_meta(name, value.as_deref());
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.check()?;
        self.state().undo = Undo::default();
        Ok(())
    }

    fn take_damage(&self) -> Vec<Damage> {
        std::mem::take(&mut self.shared.damage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn verify(&self) -> Result<EngineVerified, EngineError> {
        let registers = self.state().registers.len() as u64;
        Ok(EngineVerified { pages: registers, registers, damage: Vec::new() })
    }
}
