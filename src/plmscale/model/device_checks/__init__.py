"""Programs that `plmscale doctor` starts on nodes with GPUs: attention against the CPU, a sum over ranks."""
