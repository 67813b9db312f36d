"""A finished study as a folder for an archive: `plmscale publish`.

In: the results of a study, who made it and under which licence. Out: a folder with tables, figures, report, runs with
model cards, configuration, lock, checksums, and RO-Crate metadata. `publish.publish` is the way in. `again` lays a
published study out for another analysis, and compares.
"""
