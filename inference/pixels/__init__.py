"""From a DICOM file to a model input, shared by the notebook and the training."""
