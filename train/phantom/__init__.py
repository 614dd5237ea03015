"""A mammography competition that belongs to nobody: drawn, not photographed.

``draw`` makes one mammogram, ``write_dicom`` stores it as a scanner would, and
``write_competition`` makes a whole competition folder in the true schema. Equal arguments
give equal bytes. The tests, the demo and the benchmarks learn and measure on it.

What a picture is made of, in the order it is drawn:

* a compressed breast on the chest wall: half an ellipse with a wavering skin line, thick
  inside and thinning at the skin; in a mediolateral view the pectoral muscle above it;
* fat, and glandular tissue whose texture has the power spectrum 1/f^3 of mammograms
  (Burgess, Jacobson, Judy: Med. Phys. 28, 419-437, 2001);
* a lead marker in the air, which a region-of-interest crop has to ignore;
* where asked for, a lesion: a spiculated mass and a cluster of microcalcifications. It comes
  from a random stream of its own, so at contrast 0 a sick breast is drawn like a healthy one;
* quantum noise, its deviation growing with the root of the signal: that, not the anatomy, is
  what makes a real mammogram cost 5 to 9 bits per breast pixel when compressed losslessly.

    python -m train.phantom --out DIR --patients 24 --test-patients 8 --size 512 400
"""

from train.phantom.competition import Competition, write_competition
from train.phantom.dicom import JPEG_2000_LOSSLESS, JPEG_LOSSLESS_SV1, write_dicom
from train.phantom.drawing import draw

__all__ = [
    "JPEG_2000_LOSSLESS",
    "JPEG_LOSSLESS_SV1",
    "Competition",
    "draw",
    "write_competition",
    "write_dicom",
]
