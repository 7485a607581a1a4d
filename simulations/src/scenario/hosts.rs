//! Who there is: names of hosts, and what a selector means.
//!
//! Nodes come first, region by region; then the devices that embed a replica. The place in this order is the [`HostId`].

use std::ops::Range;

use super::{Scenario, Selector};
use crate::observation::HostId;

impl Scenario {
    /// Regional nodes.
    pub fn node_count(&self) -> u32 {
        self.regions.iter().map(|region| region.nodes).sum()
    }

    /// Devices that embed a replica.
    pub fn device_count(&self) -> u32 {
        (f64::from(self.workload.viewers) * f64::from(self.workload.devices_per_viewer) * self.workload.replicas_share).round() as u32
    }

    /// Nodes and devices with a replica.
    pub fn host_count(&self) -> u32 {
        self.node_count() + self.device_count()
    }

    /// Profiles that viewers watch under.
    pub fn profile_count(&self) -> u32 {
        self.workload.viewers.div_ceil(self.workload.viewers_per_profile.max(1))
    }

    /// Every host's name, by its [`HostId`].
    pub fn host_names(&self) -> Vec<String> {
        let nodes = self.regions.iter().flat_map(|region| (0..region.nodes).map(move |index| format!("{}/{index}", region.name)));
        nodes.chain((0..self.device_count()).map(|index| format!("device/{index}"))).collect()
    }

    /// The region that a host belongs to, by its index; none for devices.
    pub fn region_of(&self, host: HostId) -> Option<usize> {
        let mut first = 0;
        self.regions.iter().position(|region| {
            first += region.nodes;
            host.0 < first
        })
    }

    /// The hosts that a selector means, in order: a region (its nodes), `REGION/0`, `nodes`, `devices`, `device/3`, `device/0..9` (ten of them), or
    /// `all`. None: there is nothing of that name. `devices` may mean none.
    pub fn select(&self, selector: &Selector) -> Option<Vec<HostId>> {
        let nodes = self.node_count();
        let devices = self.device_count();
        let hosts = |range: Range<u32>| Some(range.map(HostId).collect());
        match selector.as_str() {
            "all" => return hosts(0..nodes + devices),
            "nodes" => return hosts(0..nodes),
            "devices" => return hosts(nodes..nodes + devices),
            _ => {}
        }
        if let Some(which) = selector.strip_prefix("device/") {
            let (first, last) = which.split_once("..").unwrap_or((which, which));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            return if first <= last && last < devices { hosts(nodes + first..nodes + last + 1) } else { None };
        }
        let mut begin = 0;
        for region in &self.regions {
            if *selector == region.name {
                return hosts(begin..begin + region.nodes);
            }
            if let Some(index) = selector.strip_prefix(region.name.as_str()).and_then(|rest| rest.strip_prefix('/')) {
                let index: u32 = index.parse().ok().filter(|index| *index < region.nodes)?;
                return hosts(begin + index..begin + index + 1);
            }
            begin += region.nodes;
        }
        None
    }

    /// What a selector may say in this scenario, for an error message.
    pub fn selectors(&self) -> String {
        let mut names: Vec<String> = self.regions.iter().map(|region| region.name.clone()).collect();
        names.extend(self.regions.first().map(|region| format!("{}/0", region.name)));
        names.push("nodes".into());
        match self.device_count() {
            0 => {}
            1 => names.extend(["devices".into(), "device/0".into()]),
            count => names.extend(["devices".into(), format!("device/0 to device/{}", count - 1)]),
        }
        names.push("all".into());
        names.join(", ")
    }
}
