//! Crashes, failing disks and damaged files: what an acknowledgement is worth when things go wrong.

mod acknowledgement;
mod catalog_losses;
mod damage;
mod every_fault;
mod failing_disk;
mod first_minute;
mod group_offsets;
mod killed_process;
mod killed_under_load;
mod life;
mod power_cut;
mod read_only;
mod salvage;
mod script;
mod side_by_side;
mod sync_order;
mod topic_changes;
mod topic_settings;
mod torn_tail;
mod verify;
