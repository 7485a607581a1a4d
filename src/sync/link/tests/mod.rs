//! Links as pairs in virtual time: no runtime, no thread, no sleep. Replicas are the ones that ship, over stores in memory.

mod device;
mod hostile;
mod leases;
mod lost;
mod refusals;
mod settle;
mod world;
