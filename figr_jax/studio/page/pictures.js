// Reading of image files.

const LARGEST_FILE = 4e6; // bytes; larger files are sent as a smaller copy
const LARGEST_SIDE = 2048; // pixels of that copy

export const load = (source) => new Promise((resolve, reject) => {
  const picture = new Image();
  picture.onload = () => resolve(picture);
  picture.onerror = () => reject();
  picture.src = source;
});

const asDataUrl = (file) => new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.readAsDataURL(file);
});

// Reads a file as a picture and as base64; null if it is not an image.
export async function read(file) {
  const address = URL.createObjectURL(file);
  try {
    const picture = await load(address);
    return { picture, source: (await fit(file, picture)).split(",")[1] };
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(address);
  }
}

// Returns the data URL of a file, or of a smaller copy of a large file.
async function fit(file, picture) {
  if (file.size <= LARGEST_FILE && file.type !== "image/svg+xml") return asDataUrl(file);
  const { naturalWidth: width, naturalHeight: height } = picture;
  const zoom = LARGEST_SIDE / Math.max(width, height, 1);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((width || 1) * zoom));
  canvas.height = Math.max(1, Math.round((height || 1) * zoom));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}
