// Colours shades with the service's own tables, so that a picture's colours equal those that the service would send.

let tables = {};

export function setTables(encoded) {
  for (const [name, text] of Object.entries(encoded)) tables[name] = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

export const colormaps = () => Object.keys(tables);

/** Read the shades, 0…255, of a gray picture: {width, height, shades}. */
export async function readShades(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  const { naturalWidth: width, naturalHeight: height } = image;
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const shades = new Uint8Array(width * height);
  for (let i = 0; i < shades.length; i += 1) shades[i] = pixels[4 * i];
  return { width, height, shades };
}

/** Draw shades onto a canvas in the colours of a map; outside `window` (shares of top, left, bottom, right) it stays clear. */
export function paint(canvas, { width, height, shades }, colormap, window = [0, 0, 1, 1]) {
  const table = tables[colormap] ?? tables.inferno;
  const colours = new Uint32Array(256);
  const bytes = new Uint8Array(colours.buffer);
  for (let i = 0; i < 256; i += 1) bytes.set([table[3 * i], table[3 * i + 1], table[3 * i + 2], 255], 4 * i);
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < shades.length; i += 1) pixels[i] = colours[shades[i]];
  Object.assign(canvas, { width, height });
  const [top, left, bottom, right] = window.map((share, i) => Math.round(share * (i % 2 ? width : height)));
  canvas.getContext("2d").putImageData(picture, 0, 0, left, top, right - left, bottom - top);
}

/** Draw the map's own scale, least to greatest from left to right. */
export function paintScale(canvas, colormap) {
  paint(canvas, { width: 256, height: 1, shades: Uint8Array.from({ length: 256 }, (_, i) => i) }, colormap);
}
