"""Small data sets in the real layouts, for tests: every class is painted in a colour of its own."""

import json

import numpy as np
from PIL import Image

from hmnet_lite.data.photos import coco

SIZE = (60, 80)  # height, width of the pictures
QUIET = {"progress": False, "small_object": 100, "image_size": 64}


def shows(image, mask, class_id):
    """Whether a picture has the class's colour where, and only where, its mask says."""
    near = np.abs(image.astype(int) - colour(class_id)).max(axis=-1) < 60
    known = mask != 255
    return (near == (mask == 1))[known].mean() > 0.96


def colour(class_id):
    """Bright, and different for each of the first 90 ids."""
    return np.array([60 + 37 * class_id % 190, 60 + 71 * class_id % 190, 60 + 113 * class_id % 190])


def ids_with(*blocks, size=SIZE, ignore=0):
    """(h, w) class ids: (class, top, bottom, left, right) rectangles; 255 in the first rows."""
    ids = np.zeros(size, np.uint8)
    for class_id, top, bottom, left, right in blocks:
        ids[top:bottom, left:right] = class_id
    ids[:ignore] = 255
    return ids


def save_picture(path, ids):
    """A JPEG that shows each class in its colour, on black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = np.zeros((256, 3), np.uint8)
    for class_id in range(1, 255):
        palette[class_id] = colour(class_id)
    Image.fromarray(palette[ids]).save(path, "jpeg", quality=95, subsampling=0)


def save_ids(path, ids):
    """A palette PNG whose colours say nothing, as PASCAL's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([(i * 7) % 256 for i in range(768)])
    image.save(path)


def default_ids(class_id, number):
    """One class, larger with each picture, with a border to ignore."""
    return ids_with((class_id, 10, 40 + number, 5 + number, 50), ignore=2)


def pascal(root, pictures=3, masks="SegmentationClassAug"):
    """VOC's layout: `pictures` of each class in val and as many others in trainaug."""
    names = {"val": [], "trainaug": []}
    for split in names:
        for class_id in range(1, 21):
            for number in range(pictures):
                name = f"{'2007' if split == 'val' else '2011'}_{class_id:03d}{number:03d}"
                ids = default_ids(class_id, number)
                save_picture(root / "JPEGImages" / f"{name}.jpg", ids)
                save_ids(root / masks / f"{name}.png", ids)
                names[split].append(name)
    write_lists(root / "ImageSets" / "Segmentation", names)
    return root


def write_lists(folder, lists):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def coco_png(root, pictures=2, years=("train2014", "val2014")):
    """COCO 2014 with class-id masks in annotations/."""
    for year in years:
        for class_id in range(1, 81):
            for number in range(pictures):
                name = f"COCO_{year}_{class_id:06d}{number:06d}"
                ids = default_ids(class_id, number)
                save_picture(root / year / f"{name}.jpg", ids)
                save_ids(root / "annotations" / year / f"{name}.png", ids)
    return root


def category(class_id):
    """COCO's category ids have gaps; these have them elsewhere, in the same order."""
    return class_id + class_id // 10


def coco_json(root, year="val2014", pictures=2):
    """COCO 2014 with polygons (even numbers) and run lengths (odd), as instances_*.json."""
    images, annotations = [], []
    for class_id in range(1, 81):
        for number in range(pictures):
            ids = ids_with((class_id, 10, 40 + number, 5 + number, 50))
            image_id = 1000 * class_id + number
            name = f"COCO_{year}_{image_id:012d}.jpg"
            save_picture(root / year / name, ids)
            height, width = ids.shape
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            if number % 2:
                flat = (ids > 0).T.ravel()
                edges = np.flatnonzero(np.diff(flat, prepend=False, append=False))
                counts = np.diff(edges, prepend=0, append=flat.size).tolist()
                shape = {"size": [height, width], "counts": counts}
            else:
                left, right, bottom = 5 + number, 50, 40 + number
                shape = [[left, 10, right, 10, right, bottom, left, bottom]]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image_id,
                    "category_id": category(class_id),
                    "iscrowd": number % 2,
                    "segmentation": shape,
                }
            )
    categories = [{"id": category(i), "name": name} for i, name in enumerate(coco.CLASSES, 1)]
    path = root / "annotations" / f"instances_{year}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def class_folders(root, names, pictures=3):
    """A folder a class, white-on-black masks, as FSS-1000's and one's own pictures."""
    for class_id, name in enumerate(names, 1):
        for number in range(1, pictures + 1):
            ids = ids_with((class_id, 10, 40 + number, 5 + number, 50))
            save_picture(root / name / f"{number}.jpg", ids)
            white = (255 * (ids > 0)).astype(np.uint8)
            Image.fromarray(white).convert("RGB").save(root / name / f"{number}.png")
    return root
