// The emoji one can pick and complete: those people use, with the words by which they are found.

const LIST = `👍 thumbsup yes good|👎 thumbsdown no bad|❤️ heart love|😂 joy laugh tears|🎉 tada party|🙏 pray thanks please|👀 eyes look|🔥 fire hot
😀 grin|😄 smile happy|😅 sweat|😊 blush|🙂 slight_smile|😉 wink|😍 heart_eyes|😘 kiss|😋 yum|😎 cool sunglasses|🤩 starstruck|🤔 thinking hmm|🤨 eyebrow|😐 neutral|🙄 eyeroll|😏 smirk|😴 sleep|😢 cry sad|😭 sob|😤 triumph|😡 angry|🤯 exploding mind|😱 scream|😳 flushed|🥶 cold|🥵 hot_face|🤒 sick|🤮 vomit|🥳 partying|🤗 hug|🤫 shush|🤐 zipper|🤓 nerd|🥺 pleading|😇 angel|🤠 cowboy|😬 grimace|🤷 shrug|🤦 facepalm
👋 wave hello bye|👌 ok|✌️ victory|🤞 fingers luck|🤝 handshake deal|👏 clap|🙌 hands hooray|💪 muscle strong|👉 right|👈 left|👆 up|👇 down|✋ hand stop|🤙 call|🫶 heart_hands|🧠 brain
💔 broken|💯 hundred|💥 boom|✨ sparkles|⭐ star|🌟 glow|⚡ zap lightning|💡 idea bulb|💤 zzz|🎂 cake birthday|🎁 gift|🏆 trophy|🥇 first medal|🎯 target|🎵 music|🎶 notes|🎮 game|⚽ football|🏀 basketball|🎨 art
☕ coffee|🍵 tea|🍺 beer|🍷 wine|🥂 cheers|🍕 pizza|🍔 burger|🍎 apple|🍌 banana|🍓 strawberry|🍪 cookie|🍫 chocolate|🍞 bread|🥗 salad|🍜 noodles|🍣 sushi
🐶 dog|🐱 cat|🦊 fox|🐻 bear|🐼 panda|🦁 lion|🐸 frog|🐵 monkey|🙈 see_no|🐦 bird|🐢 turtle|🐙 octopus|🐛 bug|🦋 butterfly|🐝 bee|🌱 seedling|🌳 tree|🌵 cactus|🌸 blossom|🌹 rose|🍀 clover
☀️ sun|🌙 moon|🌈 rainbow|☁️ cloud|🌧️ rain|❄️ snow|🌊 wave_sea|🏔️ mountain|🏖️ beach|🌍 earth world
✅ check done|❌ cross no|🚀 rocket ship|✈️ plane|🚗 car|🚲 bike|🚆 train|⛵ boat|🏠 house home|🏢 office|⏰ alarm|⏳ hourglass|📅 calendar|📌 pin|📎 clip|✏️ pencil|📝 memo|📖 book|📚 books|📦 package|📈 chart up_chart|📉 down_chart|🔍 search|🔒 lock|🔑 key|🔨 hammer|🔧 wrench|⚙️ gear|💻 laptop|📱 phone|🖨️ printer|🔋 battery|🔔 bell|📣 megaphone|💬 speech|✉️ mail|💰 money|💸 spend|🛒 cart|🗑️ bin|⚠️ warning|🚧 construction|🚫 forbidden|❓ question|❗ exclamation|➕ plus|➖ minus|♻️ recycle|🆗 okay|🆕 new|🔴 red|🟡 yellow|🟢 green|🔵 blue|🏁 finish|🏳️ flag`;

export const GROUPS = LIST.split('\n').map((line) =>
  line.split('|').map((entry) => {
    const [emoji, ...words] = entry.split(' ');
    return { emoji, words };
  }),
);

const ALL = GROUPS.flat();

/** Those whose name begins so, then those with another word that does, then those that contain it: with the word that fits. */
export function findEmoji(text, limit = 8) {
  const wanted = text.toLowerCase();
  const ranks = [[], [], []];
  for (const { emoji, words } of ALL) {
    const word = words.find((one) => one.startsWith(wanted)) ?? words.find((one) => one.includes(wanted));
    if (word) ranks[word.startsWith(wanted) ? (word === words[0] ? 0 : 1) : 2].push({ emoji, words, word });
  }
  return ranks.flat().slice(0, limit);
}
