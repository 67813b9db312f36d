"""Everything that an installation needs in one folder, for machines without a network: `plmscale bundle`.

In: an extra, its lock, and the wheel of plmscale. Out: a folder with wheels, checksums and a script that installs from
them. `bundle.bundle` is the way in.
"""
