//! Pictures of vehicles: photographs with labels, or scenes rendered here.
