"""What a cluster is, asked of its own programs; the folder and profile of a study on it; what would go wrong there.

In: what `sinfo`, `scontrol`, `sacctmgr` and `nvidia-smi` print, a folder of a study, answers of a person. Out: a
`Cluster`, the files of a new study, and `Check`s: a line each, with the remedy. Others use `describe`, `write_study`,
`refuse_placeholders` and the checks. Nothing of torch is imported here: programs of
`model.device_checks` test GPUs.
"""
